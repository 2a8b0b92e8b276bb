//! Two signals to a worker whose relay does not answer: the first waits for the relay, the second ends the process.

use super::project::{Project, Ran, end, send_signal};
use mailq_testkit::relay::behaviour::{Behaviour, Rule};
use rustix::process::Signal;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longer than the time in which repeated SIGTERMs count as one.
const LATER: Duration = Duration::from_millis(400);
/// Far below the 25 s that a clean stop may wait for the relay.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The relay takes the first message's RCPT TO and never answers it.
fn silent_relay() -> Project {
    let rule = Rule::parse("rcpt anna@example.org 1 stall").unwrap();
    let project = Project::with_relay(
        "1s",
        Behaviour {
            rules: vec![rule],
            ..Behaviour::default()
        },
    );
    project.list(&[("anna@example.org", "Anna")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project
}

fn start_until_in_flight(project: &Project) -> Child {
    let child = project.start(&["send"], Stdio::null());
    let since = Instant::now();
    while project.relay.log().count("RCPT") == 0 {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
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

/// A closed terminal, or a lost SSH session.
#[test]
fn sighup_is_a_clean_stop() {
    let project = Project::new("1s");
    project.list(&[("anna@example.org", "Anna")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let child = start_until_in_flight(&project);
    let ran = end_at_once(child, Signal::HUP);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.status()["delivered"], 1);
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
