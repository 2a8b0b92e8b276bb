//! `send --metrics ADDRESS`: the metrics of a worker at `GET /metrics`, for Prometheus.

mod page;

use crate::clock::Clock;
use crate::commands::Failure;
use crate::domain::rate::Rate;
use crate::engine::account;
use crate::engine::worker::Summary;
use crate::queue::Queue;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use page::Page;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Limit for a request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the queue may take to count what is left. After that the page is sent without this metric.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Further connections wait.
const MAX_CONNECTIONS: usize = 8;

/// What the worker reported last.
#[derive(Default)]
pub struct Latest {
    pub summary: RefCell<Summary>,
    /// The rate of all workers together.
    pub rate: Cell<Option<Rate>>,
    pub share: Cell<Option<Rate>>,
}

/// Sources of the metrics.
pub struct Exporter {
    pub latest: Rc<Latest>,
    pub queue: Rc<dyn Queue>,
    pub clock: Rc<dyn Clock>,
}

/// Binds the address before anything is sent. Errors: it is in use, or not an address of this host.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!(
            "cannot listen on {address} for --metrics: {error}; nothing was sent"
        ))
        .with_hint("another worker on this host may use the port: give each worker its own")
    })
}

/// Serves requests until it is dropped.
pub async fn serve(listener: TcpListener, exporter: Exporter) {
    let exporter = Rc::new(exporter);
    let permits = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let exporter = exporter.clone();
        tokio::task::spawn_local(async move {
            let answer = service_fn(|request| answer(request, &exporter));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that hangs up or stays silent gets no response.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection).await;
            drop(permit);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    exporter: &Exporter,
) -> Result<Response<String>, Infallible> {
    let is_known = request.uri().path() == "/metrics";
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match (is_known, is_read) {
        (true, true) => (StatusCode::OK, exporter.page().await),
        (true, false) => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        (false, _) => (StatusCode::NOT_FOUND, "see /metrics\n".to_string()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(page::CONTENT);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

impl Exporter {
    async fn page(&self) -> String {
        let mut page = Page::default();
        page.worker(&self.latest.summary.borrow());
        page.limits(self.latest.rate.get(), self.latest.share.get());
        let status = account::status(self.queue.as_ref(), self.clock.now(), None);
        if let Ok(Ok(status)) = tokio::time::timeout(QUEUE_TIMEOUT, status).await {
            page.left(status.lag);
        }
        page.metrics(&self.queue.metrics());
        page.into_text()
    }
}
