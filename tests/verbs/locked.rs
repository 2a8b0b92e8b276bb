//! Another process keeps the queue's file locked.

use super::project::Project;
use std::time::{Duration, Instant};

/// Far below the 30 s for which a worker waits.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn enqueue_keeps_its_timeout() {
    let project = Project::new("1s");
    project.people(1);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let lock = project.database();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let since = Instant::now();
    let again = ["enqueue", "campaigns/spring.toml", "--run", "2"];
    let ran = project.mailq(&[&again[..], &["--queue-timeout", "3s"]].concat());
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    let words = [
        "waiting for queue `sqlite:",
        "another process keeps it locked",
    ];
    for part in words {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    lock.execute_batch("ROLLBACK").unwrap();
    project.ok(&again);
}
