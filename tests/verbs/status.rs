//! `status` and `events`.

use super::project::{Project, Ran, document, end};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn commands_fail_without_a_queue() {
    let project = Project::new("1s");
    for arguments in [
        &[][..],
        &["status"],
        &["verify"],
        &["events"],
        &["recipients", "spring"],
        &["dlq", "list"],
        &["pause", "spring"],
    ] {
        let ran = project.mailq(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ran.stderr.starts_with("error: no queue here"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("hint: `mailq init`"), "{}", ran.stderr);
    }
    assert!(!project.path(".mailq/queue.db").exists());
}

#[test]
fn status_says_when_the_send_windows_open() {
    let project = Project::new("1h");
    project.list(&[("anna@example.org", "Anna")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    assert_eq!(project.json(&["status"]).get("windows_open_at"), None);
    // One minute in a week.
    let windows = "[send]\nwindows = [\"Mon 00:00-00:01 Etc/GMT+12\"]\n";
    let settings = std::fs::read_to_string(project.path("mailq.toml")).unwrap();
    project.write("mailq.toml", &settings.replace("[send]\n", windows));
    let status = project.json(&["status"]);
    let at = status["windows_open_at"].as_str().unwrap();
    assert!(at.ends_with("T12:00:00Z"), "{status}");
}

/// The lanes of the one worker that runs, when one of them is as asked for.
fn lane_of(project: &Project, site: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let status = project.json(&["status", "--lanes"]);
        let lanes = status["lanes"][0]["lanes"].as_array();
        let found = lanes
            .into_iter()
            .flatten()
            .find(|lane| lane["site"] == site);
        if let Some(lane) = found.filter(|lane| is_wanted(lane)) {
            return lane.clone();
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn status_shows_the_lanes_of_running_workers() {
    let project = Project::new("1h");
    project.list(&[("anna@example.org", "Anna"), ("bounce@gmail.com", "Ben")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    assert_eq!(project.json(&["status"]).get("lanes"), None);
    let none = project.ok(&["status", "--lanes"]).stdout;
    assert!(
        none.ends_with("\nno lanes: no running worker has mail, or had any\n"),
        "{none}"
    );

    let arguments = ["send", "--instance-id", "first"];
    let worker = project.start(&arguments, Stdio::null());
    let taken = lane_of(&project, "example.org", |lane| {
        lane["last_reply"].is_string()
    });
    assert!(
        taken["last_reply"].as_str().unwrap().starts_with("250"),
        "{taken}"
    );
    assert!(
        taken["relay"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{taken}"
    );
    let numbers = ["waiting", "parked", "connections"].map(|key| taken[key].as_u64());
    assert_eq!(numbers, [Some(0); 3], "{taken}");
    assert_eq!(
        (&taken["rate_allowed"], &taken["breaker"]),
        (&"unlimited".into(), &"closed".into())
    );
    let refused = lane_of(&project, "gmail.com", |lane| lane["last_reply"].is_string());
    assert!(
        refused["last_reply"].as_str().unwrap().starts_with("550"),
        "{refused}"
    );
    let shown = project.ok(&["status", "--lanes"]).stdout;
    let line = shown.lines().find(|line| line.contains("gmail.com"));
    let line = line.unwrap_or_default();
    assert!(
        line.contains("/first ") && line.contains("closed") && line.contains(" 550 "),
        "{shown}"
    );

    assert_eq!(end(worker, Signal::TERM).code, 0);
    assert_eq!(
        project.json(&["status", "--lanes"])["lanes"],
        Value::Array(Vec::new())
    );
}

#[test]
fn status_counts_each_recipient_once() {
    let project = Project::with_everything();
    let row = project.status();
    let counts = [
        "enqueued",
        "delivered",
        "bounced",
        "dead",
        "in_doubt",
        "pending",
    ];
    assert_eq!(
        counts.map(|name| row[name].as_u64().unwrap()),
        [6, 3, 1, 1, 1, 0]
    );
    assert_eq!(row["state"], "done");
    let status = project.json(&["status"]);
    assert_eq!(status["dlq"], 2);
    assert_eq!(status["lag"], 0);
    assert!(
        status["retry"]
            .as_array()
            .unwrap()
            .iter()
            .all(|tier| tier["messages"] == 0)
    );
    assert_eq!(status["rate"]["rate"], "unlimited");

    let text = project.ok(&[]).stdout;
    assert_eq!(text, project.ok(&["status", "spring"]).stdout);
    for part in [
        "STATE",
        "IN DOUBT",
        "done",
        "2 letters: see `mailq dlq list`",
        "mailq.toml:2",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("EXPIRED"), "an empty column:\n{text}");
}

#[test]
fn status_shows_when_retries_and_scheduled_runs_are_due() {
    let project = Project::new("1h");
    project.list(&[("defer-1@example.org", "Dora")]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let ran = project.mailq(&["send", "--drain", "--max-wait", "1s"]);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    let status = project.json(&["status"]);
    let tiers = status["retry"].as_array().unwrap();
    let tier = tiers.iter().find(|tier| tier["messages"] == 1).unwrap();
    assert_eq!(tier["tier"], "3600s");
    assert!(tier["next_due"].as_str().unwrap() > status["rate"]["at"].as_str().unwrap());
    assert_eq!(project.status()["retrying"], 1);
    let text = project.ok(&[]).stdout;
    assert!(
        text.contains("retry    after 1h: 1 message, next due "),
        "{text}"
    );

    project.ok(&[
        "enqueue",
        "campaigns/spring.toml",
        "--run",
        "later",
        "--at",
        "2099-01-01T09:00:00Z",
    ]);
    let text = project.ok(&[]).stdout;
    assert!(
        text.contains("scheduled until 2099-01-01 09:00:00"),
        "{text}"
    );
    assert_eq!(
        project.json(&["status"])["lag"],
        1,
        "what is scheduled may not go yet"
    );
}

#[test]
fn suggests_the_nearest_campaign_for_an_unknown_one() {
    let project = Project::with_everything();
    for arguments in [
        &["status", "sprnig"][..],
        &["verify", "sprnig"],
        &["recipients", "sprnig"],
        &["events", "--campaign", "sprnig"],
        &["dlq", "list", "--campaign", "sprnig"],
        &["pause", "sprnig"],
        &["cancel", "campaigns/spring.toml"],
    ] {
        let ran = project.mailq(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ran.stderr.contains("hint: did you mean `spring`?"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    let ran = project.mailq(&["status", "sprnig", "--json"]);
    assert_eq!(document(&ran.stdout)["exit"], 2);
}

#[test]
fn prints_events_by_type_and_campaign() {
    let project = Project::with_everything();
    let lines = |arguments: &[&str]| -> Vec<String> {
        let stdout = project.ok(arguments).stdout;
        let types = stdout.lines().map(|line| {
            document(line)["header"]["eventType"]
                .as_str()
                .unwrap()
                .to_string()
        });
        types.collect()
    };
    let mut all = lines(&["events"]);
    all.sort();
    let expected = [
        "bounced",
        "dead",
        "deferred",
        "delivered",
        "delivered",
        "delivered",
        "in_doubt",
    ];
    assert_eq!(all, expected.map(|name| format!("mail.{name}")));
    assert_eq!(
        lines(&["events", "--type", "deferred", "--campaign", "spring"]),
        ["mail.deferred"]
    );
    assert_eq!(project.mailq(&["events", "--type", "lost"]).code, 2);
}

#[test]
fn ends_without_an_error_when_the_pipe_is_closed() {
    let project = Project::with_everything();
    for arguments in [
        &["events"][..],
        &["events", "--follow"],
        &["recipients", "spring"],
        &["status"],
        &["dlq", "list"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = project.start(arguments, Stdio::from(writer));
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn follow_and_watch_run_until_interrupted() {
    let project = Project::new("1s");
    project.people(2);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    let mut events = project.start(&["events", "--follow"], Stdio::piped());
    let mut events_lines = BufReader::new(events.stdout.take().unwrap()).lines();
    let mut watch = project.start(&["status", "--watch", "--json"], Stdio::piped());
    let mut watch_lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let pending = |line: String| document(&line)["campaigns"][0]["pending"].as_u64();
    assert_eq!(pending(watch_lines.next().unwrap().unwrap()), Some(2));
    project.ok(&["send", "--drain"]);
    for _ in 0..2 {
        let event = document(&events_lines.next().unwrap().unwrap());
        assert_eq!(event["header"]["eventType"], "mail.delivered");
    }
    while pending(watch_lines.next().unwrap().unwrap()) != Some(0) {}
    for child in [events, watch] {
        let ran = end(child, Signal::INT);
        assert_eq!((ran.code, ran.stderr.as_str()), (130, ""));
    }
}
