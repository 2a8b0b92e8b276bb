//! `send --metrics`: the metrics that Prometheus reads, and whether the worker is alive and ready.

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
    get(address, "/metrics").unwrap_or_default()
}

/// The body of a page that a worker serves.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
}

fn wait_for(address: SocketAddr, line: &str) -> String {
    let since = Instant::now();
    loop {
        let page = page(address);
        if page.lines().any(|found| found == line) {
            return page;
        }
        assert!(since.elapsed() < PATIENCE, "{line}\n{page}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An address that is free while the ports are held.
fn free_address() -> (SocketAddr, Ports) {
    let ports = Ports::find(1);
    (SocketAddr::from(([127, 0, 0, 1], ports.first())), ports)
}

/// The body of `/metrics` after one message was delivered.
pub fn served_page() -> String {
    let project = Project::new("1s");
    project.people(1);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let (address, _ports) = free_address();
    let flag = address.to_string();
    let worker = project.start(&["send", "--metrics", &flag], Stdio::null());
    let answer = wait_for(address, "delivery_latency_seconds_count 1");
    assert_eq!(end(worker, Signal::TERM).code, 0);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    body.to_string()
}

#[test]
fn serves_the_metrics_of_a_worker() {
    let project = Project::new("1s");
    project.list(&[
        ("anna@example.org", "Anna"),
        ("ben@example.org", "Ben"),
        ("cleo@example.org", "Cleo"),
        ("bounce@example.org", "Dora"),
    ]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let (address, _ports) = free_address();
    let flag = address.to_string();
    let worker = project.start(&["send", "--metrics", &flag], Stdio::null());
    wait_for(address, "delivery_latency_seconds_count 3");
    let page = wait_for(address, "mailq_queue_lag_messages 0");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let sent = page
        .lines()
        .find(|line| line.starts_with("emails_sent_total{") && line.contains("delivered"))
        .unwrap_or_default();
    assert!(
        sent.starts_with("emails_sent_total{campaign=\"spring\",relay=\"127.0.0.1:")
            && sent.ends_with(",outcome=\"delivered\"} 3"),
        "{page}"
    );
    for line in [
        "mailq_rate_limit{of=\"all\"} +Inf",
        "mailq_rate_limit{of=\"worker\"} +Inf",
        "mailq_claimed_messages 0",
        "mailq_claimed_messages_limit 64",
        "mailq_dead_letters 0",
        "mailq_workers 1",
        "retry_queue_size{tier=\"1s\"} 0",
        "delivery_latency_seconds_bucket{le=\"+Inf\"} 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    for name in [
        "mailq_disk_used_ratio 0.",
        "mailq_journal_cycle_seconds_count ",
    ] {
        assert!(page.contains(name), "{name}\n{page}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = get(address, path).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let elsewhere = get(address, "/").unwrap();
    assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");
    let junk = ask(address, "\r\n\u{1}\u{2}\r\n\r\n").unwrap();
    assert!(junk.starts_with("HTTP/1.1 400"), "{junk}");

    let taken = project.mailq(&["send", "--metrics", &flag]);
    assert_eq!(taken.code, 2);
    let words = format!("cannot listen on {address} for --metrics");
    assert!(taken.stderr.contains(&words), "{}", taken.stderr);
    assert_eq!(end(worker, Signal::TERM).code, 0);
}

/// Clients that connect and send half of a request, or nothing, take no place from those that ask.
#[test]
fn silent_clients_do_not_keep_others_from_the_metrics() {
    let project = Project::new("1s");
    project.people(1);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let (address, _ports) = free_address();
    let worker = project.start(&["send", "--metrics", &address.to_string()], Stdio::null());
    wait_for(address, "delivery_latency_seconds_count 1");
    let silent: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HT").unwrap();
            }
            stream
        })
        .collect();
    let mut asking = TcpStream::connect(address).unwrap();
    asking.set_read_timeout(Some(PATIENCE)).unwrap();
    asking
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Each silent one is cut off.
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let is_reset = ended
            .as_ref()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(ended.is_ok() || is_reset, "{ended:?}");
    }
    assert_eq!(end(worker, Signal::TERM).code, 0);
}
