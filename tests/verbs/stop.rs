//! Two signals to a worker whose relay does not answer: the first waits for the relay, the second ends the process.

use super::project::{Project, Ran, end, send_signal};
use mailq_testkit::relay::behaviour::{Behaviour, Rule};
use mailq_testkit::relay::log::Log;
use rustix::process::Signal;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longer than the time in which repeated SIGTERMs count as one.
const LATER: Duration = Duration::from_millis(400);
/// Far below the 25 s that a clean stop may wait for the relay.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A queue with one message, and a relay that behaves so.
fn project(behaviour: Behaviour) -> Project {
    let project = Project::with_relay("1s", behaviour);
    project.list(&[("anna@example.org", "Anna")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project
}

fn stalls_at(rule: &str) -> Behaviour {
    Behaviour {
        rules: vec![Rule::parse(rule).unwrap()],
        ..Behaviour::default()
    }
}

/// The relay reads the first message and never answers its final dot.
fn silent_relay() -> Project {
    project(stalls_at("dot anna@example.org 1 stall"))
}

fn start_until(project: &Project, is_so: impl Fn(&Log) -> bool) -> Child {
    let child = project.start(&["send", "--connections", "1"], Stdio::null());
    let since = Instant::now();
    while !is_so(&project.relay.log()) {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// A final dot is out.
fn start_until_in_flight(project: &Project) -> Child {
    start_until(project, |log| !log.accepted.is_empty())
}

/// How many partitions of send each worker owns.
fn owned(project: &Project) -> Vec<usize> {
    let status = project.json(&["status"]);
    let send = |at: &&serde_json::Value| at.as_str().is_some_and(|at| at.starts_with("send/"));
    let workers = status["workers"].as_array().unwrap().iter();
    let owned = workers.map(|worker| worker["owned"].as_array().unwrap().iter());
    owned.map(|owned| owned.filter(send).count()).collect()
}

fn wait_until_owned(project: &Project, wanted: &[usize]) {
    let since = Instant::now();
    while owned(project) != wanted {
        assert!(since.elapsed() < Duration::from_secs(60), "{wanted:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn max_wait_ends_beside_a_stopped_worker_and_names_it() {
    let project = Project::new("1s");
    let settings = std::fs::read_to_string(project.path("mailq.toml")).unwrap();
    project.write("mailq.toml", &format!("lease = \"10m\"\n{settings}"));
    project.list(&[("anna@example.org", "Anna")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project.ok(&["send", "--drain"]);
    let mut stopped = project.start(&["send", "--instance-id", "asleep"], Stdio::null());
    wait_until_owned(&project, &[8]);
    send_signal(&stopped, Signal::STOP);
    project.ok(&["enqueue", "campaigns/spring.toml", "--run", "2"]);
    let ran = project.mailq(&["send", "--drain", "--max-wait", "2s"]);
    stopped.kill().unwrap();
    stopped.wait().unwrap();
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    let held = "warning: the rest is held by worker `";
    assert!(ran.stderr.contains(held), "{}", ran.stderr);
    assert!(ran.stderr.contains("/asleep`"), "{}", ran.stderr);
    project.ok(&["send", "--drain"]);
    assert_eq!(project.relay.log().accepted.len(), 2);
}

fn assert_running(child: &mut Child) {
    std::thread::sleep(LATER);
    assert_eq!(child.try_wait().unwrap(), None, "the clean stop waits");
}

fn end_at_once(child: Child, signal: Signal) -> Ran {
    let since = Instant::now();
    let ran = end(child, signal);
    assert!(since.elapsed() < AT_ONCE, "took {:?}", since.elapsed());
    ran
}

#[test]
fn a_second_sigterm_ends_at_once_and_the_message_is_in_doubt() {
    let project = silent_relay();
    let mut child = start_until_in_flight(&project);
    send_signal(&child, Signal::TERM);
    assert_running(&mut child);
    let ran = end_at_once(child, Signal::TERM);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: stopped at once"),
        "{}",
        ran.stderr
    );

    let ran = project.mailq(&["send", "--drain"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(project.status()["in_doubt"], 1);
    project.ok(&["verify"]);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let project = silent_relay();
    let mut child = start_until_in_flight(&project);
    send_signal(&child, Signal::INT);
    assert_running(&mut child);
    assert_eq!(end_at_once(child, Signal::INT).code, 130);
}

#[test]
fn sigterm_after_ctrl_c_ends_at_once() {
    let project = silent_relay();
    let mut child = start_until_in_flight(&project);
    send_signal(&child, Signal::INT);
    assert_running(&mut child);
    assert_eq!(end_at_once(child, Signal::TERM).code, 75);
}

/// Whether this process, and so each that it starts, ignores SIGHUP, which is the lowest bit of the mask.
fn ignores_sighup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// A closed terminal, or a lost SSH session.
#[test]
fn sighup_is_a_clean_stop() {
    if ignores_sighup() {
        // `nohup` asks for it, and a worker that inherits it goes on, as it should.
        println!("skipped: SIGHUP is ignored here");
        return;
    }
    let project = project(Behaviour::default());
    let child = start_until_in_flight(&project);
    let ran = end_at_once(child, Signal::HUP);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.status()["delivered"], 1);
}

/// Each reply takes a second. The message whose final dot is out ends; the one behind it is not begun.
#[test]
fn a_stop_begins_nothing_new_at_a_slow_relay() {
    let project = Project::with_relay(
        "1s",
        Behaviour {
            // A clean stop waits for up to four replies.
            reply_delay: Duration::from_millis(700),
            ..Behaviour::default()
        },
    );
    project.list(&[
        ("anna@example.org", "Anna"),
        ("ben@example.org", "Ben"),
        ("carl@example.org", "Carl"),
    ]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let child = start_until_in_flight(&project);
    let ran = end_at_once(child, Signal::TERM);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let status = project.status();
    assert_eq!([&status["delivered"], &status["pending"]], [1, 2]);
    let ran = project.mailq(&["send", "--drain"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.relay.log().accepted.len(), 3);
    project.ok(&["verify"]);
}

#[test]
fn a_stop_waits_for_no_message_that_is_unsent() {
    let project = project(stalls_at("rcpt anna@example.org 1 stall"));
    let child = start_until(&project, |log| log.count("RCPT") > 0);
    let ran = end_at_once(child, Signal::TERM);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let status = project.status();
    assert_eq!([&status["delivered"], &status["pending"]], [0, 1]);
}

/// As timeout(1) sends it: to its child, and again to the child's process group.
#[test]
fn two_sigterms_in_a_row_are_one_request() {
    let project = silent_relay();
    let mut child = start_until_in_flight(&project);
    send_signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(20));
    send_signal(&child, Signal::TERM);
    assert_running(&mut child);
    assert_eq!(end_at_once(child, Signal::TERM).code, 75);
}
