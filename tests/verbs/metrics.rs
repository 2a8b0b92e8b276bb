//! `send --metrics`: the metrics that Prometheus reads.

use super::project::{Project, end};
use mailq_testkit::ports::Ports;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The whole response. `None` while nothing listens.
fn ask(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn page(address: SocketAddr) -> String {
    ask(address, "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").unwrap_or_default()
}

#[test]
fn serves_the_metrics_of_a_worker() {
    let project = Project::new("1s");
    project.people(3);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let ports = Ports::find(1);
    let address = SocketAddr::from(([127, 0, 0, 1], ports.first()));
    let flag = address.to_string();
    let worker = project.start(&["send", "--metrics", &flag], Stdio::null());
    let since = Instant::now();
    while !page(address).contains("mailq_messages_total{outcome=\"delivered\"} 3\n") {
        assert!(since.elapsed() < PATIENCE, "{}", page(address));
        std::thread::sleep(Duration::from_millis(50));
    }
    let page = page(address);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for line in [
        "mailq_attempts_total 3",
        "mailq_queue_messages 0",
        "mailq_rate_limit{of=\"all\"} +Inf",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    let elsewhere = ask(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");
    let junk = ask(address, "\r\n\u{1}\u{2}\r\n\r\n").unwrap();
    assert!(junk.starts_with("HTTP/1.1 400"), "{junk}");

    let taken = project.mailq(&["send", "--metrics", &flag]);
    assert_eq!(taken.code, 2);
    let words = format!("cannot listen on {address} for --metrics");
    assert!(taken.stderr.contains(&words), "{}", taken.stderr);
    assert_eq!(end(worker, Signal::TERM).code, 0);
}
