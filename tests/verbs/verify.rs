//! `verify` accepts an intact queue and finds a record or counter that was changed by hand.

use super::project::{Project, Ran, assert_law, document, end};
use mailq::protocol::Progress;
use rusqlite::Connection;
use rustix::process::Signal;
use std::process::Stdio;
use std::time::Duration;

/// A queue with one chunk, half of it sent, after the worker has stopped.
fn half_sent() -> Project {
    let project = Project::new("1s");
    project.people(40);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let worker = project.start(&["send", "--rate", "10/s"], Stdio::null());
    while project.relay.log().accepted.len() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = end(worker, Signal::TERM);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let row = project.status();
    assert!(row["delivered"].as_u64().unwrap() >= 2, "{row}");
    assert!(row["pending"].as_u64().unwrap() > 0, "{row}");
    project
}

fn assert_fails(project: &Project, saying: &str) {
    let ran: Ran = project.mailq(&["verify", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let verification = document(&ran.stdout);
    assert_eq!(verification["ok"], false);
    let findings = verification["findings"].to_string();
    assert!(findings.contains(saying), "{saying} in {findings}");
    let ran = project.mailq(&["verify", "spring"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.lines().any(|line| line.starts_with("problem: ")),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.lines().last().unwrap().starts_with("failed: "),
        "{}",
        ran.stdout
    );
}

/// Deletes the last record of a topic.
fn delete_last(database: &Connection, topic: &str) {
    let sql = "DELETE FROM record WHERE position = (SELECT max(r.position) FROM record r
        JOIN partition p ON r.position >> 40 = p.id WHERE p.topic = ?1)";
    assert_eq!(database.execute(sql, [topic]), Ok(1), "{topic}");
}

#[test]
fn verifies_an_intact_queue() {
    let project = Project::with_everything();
    let verification = project.json(&["verify"]);
    assert_eq!(verification["ok"], true);
    let row = &verification["campaigns"][0];
    assert_law(row);
    assert_eq!(
        *row,
        project.status(),
        "the same counts as the workers have"
    );
    let text = project.ok(&["verify"]).stdout;
    assert!(
        text.contains("6 enqueued = 3 delivered + 1 bounced + 1 dead + 1 in doubt"),
        "{text}"
    );

    let project = half_sent();
    let verification = project.json(&["verify", "spring"]);
    assert_eq!(verification["campaigns"][0], project.status());
}

#[test]
fn finds_a_lost_event() {
    let project = Project::with_everything();
    delete_last(&project.database(), "event");
    assert_fails(&project, "row");
}

#[test]
fn finds_a_lost_chunk() {
    let project = Project::new("1s");
    project.people(3);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project.ok(&["verify"]);
    delete_last(&project.database(), "send");
    assert_fails(&project, "row");
}

#[test]
fn finds_a_lost_letter() {
    let project = Project::with_everything();
    delete_last(&project.database(), "dlq");
    assert_fails(&project, "letter");
}

#[test]
fn finds_a_changed_counter() {
    let project = half_sent();
    let database = project.database();
    let mut found = 0;
    let mut statement = database
        .prepare("SELECT partition, text FROM progress")
        .unwrap();
    let strings: Vec<(i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (partition, text) in strings {
        let mut progress = Progress::parse(&text, &()).unwrap();
        for entry in progress.runs.values_mut() {
            entry.counters.finals[0] += 1;
            found += 1;
        }
        let sql = "UPDATE progress SET text = ?2 WHERE partition = ?1";
        database.execute(sql, (partition, progress.text())).unwrap();
    }
    assert_eq!(found, 1, "one partition has the run");
    assert_fails(&project, "delivered");
}
