//! `send --metrics ADDRESS`: the metrics of a worker at `/metrics` for Prometheus, and `/healthz` and `/readyz` for what
//! starts and stops workers.
//!
//! - `server` connections
//! - `catalog` every metric with its meaning; `figures` their values; `page` the text
//! - `health` when a worker is alive, and when it is ready

mod catalog;
#[cfg(test)]
mod deployed;
mod figures;
mod health;
mod page;
mod server;

use crate::clock::Clock;
use crate::commands::Failure;
use crate::engine::account;
use crate::engine::worker::Summary;
use crate::engine::worker::figures::{Snapshot, Watched};
use crate::queue::Queue;
use figures::QueueFigures;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use page::Page;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the queue may take to count what is left. After that the page is sent without what the queue says.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// The queue is not asked again within this, however many clients there are.
const QUEUE_EVERY: Duration = Duration::from_secs(2);

/// What the worker reported last.
#[derive(Default)]
pub struct Latest {
    pub summary: RefCell<Summary>,
    /// `None`: it has not joined the queue yet.
    pub worker: RefCell<Option<Rc<dyn Watched>>>,
}

/// Sources of the metrics.
pub struct Exporter {
    latest: Rc<Latest>,
    queue: Rc<dyn Queue>,
    clock: Rc<dyn Clock>,
    started_at: Duration,
    /// What the queue said last. `None`: it did not answer.
    counted: RefCell<Option<QueueFigures>>,
    count_after: Cell<Duration>,
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
    server::serve(listener, move |request| {
        let exporter = exporter.clone();
        async move { exporter.answer(&request).await }
    })
    .await;
}

impl Exporter {
    pub fn new(latest: Rc<Latest>, queue: Rc<dyn Queue>, clock: Rc<dyn Clock>) -> Exporter {
        Exporter {
            started_at: clock.since_boot(),
            latest,
            queue,
            clock,
            counted: RefCell::default(),
            count_after: Cell::default(),
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, text) = match (request.uri().path(), is_read) {
            ("/metrics", true) => match self.page().await {
                Ok(text) => (StatusCode::OK, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            },
            ("/healthz", true) => verdict(self.alive()),
            ("/readyz", true) => verdict(self.ready()),
            ("/metrics" | "/healthz" | "/readyz", false) => {
                (StatusCode::METHOD_NOT_ALLOWED, String::new())
            }
            _ => {
                let text = "see /metrics, /healthz and /readyz\n";
                (StatusCode::NOT_FOUND, text.to_string())
            }
        };
        let mut response = Response::new(text);
        *response.status_mut() = status;
        let kind = HeaderValue::from_static(page::CONTENT);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    fn worker(&self) -> Option<Snapshot> {
        let worker = self.latest.worker.borrow();
        worker.as_ref().map(|worker| worker.snapshot())
    }

    fn alive(&self) -> Result<(), String> {
        let worker = self.worker();
        health::alive(worker.as_ref().map(|worker| &worker.vitals))
    }

    fn ready(&self) -> Result<(), String> {
        let worker = self.worker();
        let worker = worker.as_ref();
        health::ready(worker.map(|worker| (&worker.vitals, &worker.lanes)))
    }

    async fn page(&self) -> Result<String, std::fmt::Error> {
        let mut page = Page::default();
        let uptime = self.clock.since_boot().saturating_sub(self.started_at);
        page.real(&catalog::UPTIME, &[], uptime.as_secs_f64());
        self.count().await;
        if let Some(queue) = self.counted.borrow().as_ref() {
            queue.write(&mut page);
        }
        if let Some(worker) = self.worker() {
            figures::of_worker(&mut page, worker);
        }
        page.metrics(self.queue.metrics());
        page.into_text()
    }

    /// Asks the queue what is left, unless it was asked a moment ago.
    async fn count(&self) {
        let now = self.clock.since_boot();
        if now < self.count_after.get() {
            return;
        }
        // Others that come meanwhile get what was counted last.
        self.count_after.set(now + QUEUE_TIMEOUT + QUEUE_EVERY);
        let wall = self.clock.now();
        let status = account::status(self.queue.as_ref(), wall, None);
        let counted = match tokio::time::timeout(QUEUE_TIMEOUT, status).await {
            Ok(Ok(status)) => Some(QueueFigures::new(&status, wall)),
            _ => None,
        };
        self.counted.replace(counted);
        self.count_after.set(self.clock.since_boot() + QUEUE_EVERY);
    }
}

fn verdict(found: Result<(), String>) -> (StatusCode, String) {
    match found {
        Ok(()) => (StatusCode::OK, "ok\n".to_string()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}
