//! A small HTTP server that no slow client can block: connections are bounded, and a new one takes the place of the one
//! that has waited longest without asking for anything.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A client that has not sent the headers of its request by then is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(2);
/// Limit for a request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// More than the monitoring of one worker needs.
const MAX_CONNECTIONS: usize = 32;

struct Connection {
    task: JoinHandle<()>,
    /// A request has come.
    has_asked: Rc<Cell<bool>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves requests until it is dropped.
pub async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<String>> + 'static,
{
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        connections.retain(|connection| !connection.task.is_finished());
        if connections.len() >= MAX_CONNECTIONS {
            let asked = connections.iter().map(|one| one.has_asked.get());
            connections.remove(displaced(asked));
        }
        let has_asked = Rc::new(Cell::new(false));
        let task = tokio::task::spawn_local(converse(stream, answer.clone(), has_asked.clone()));
        connections.push_back(Connection { task, has_asked });
    }
}

/// Which connection makes room, oldest first: the first one that has not asked, else the oldest.
fn displaced(mut asked: impl Iterator<Item = bool>) -> usize {
    asked.position(|has_asked| !has_asked).unwrap_or(0)
}

async fn converse<A, F>(stream: TcpStream, answer: A, has_asked: Rc<Cell<bool>>)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<String>>,
{
    let service = service_fn(|request| {
        has_asked.set(true);
        let response = answer(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that hangs up or stays silent gets no response.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_makes_room_before_one_that_has_asked() {
        assert_eq!(displaced([true, false, false].into_iter()), 1);
        assert_eq!(displaced([true, true].into_iter()), 0);
    }
}
