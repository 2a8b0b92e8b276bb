//! Pause, resume and cancel, and their counts; the rate in force.

use super::project::Project;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

fn queued(count: usize) -> Project {
    let project = Project::new("1s");
    project.people(count);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project
}

/// State, delivered, cancelled, pending.
fn counts(project: &Project) -> [Value; 4] {
    let row = project.status();
    ["state", "delivered", "cancelled", "pending"].map(|name| row[name].clone())
}

#[test]
fn a_paused_run_waits_until_it_is_resumed() {
    let project = queued(20);
    let did = project.json(&["pause", "spring"]);
    assert_eq!(did["campaign"], "spring");
    let run = &did["runs"][0];
    assert_eq!(
        (&run["changed"], &run["was"], &run["unfinished"]),
        (&json!(true), &json!("sending"), &json!(20))
    );
    assert_eq!(
        project.json(&["pause", "spring"])["runs"][0]["changed"],
        false
    );
    project.ok(&["send", "--drain"]);
    assert_eq!(
        counts(&project),
        [json!("paused"), json!(0), json!(0), json!(20)]
    );
    assert_eq!(project.json(&["status"])["lag"], 0);

    let ran = project.ok(&["resume", "spring"]);
    assert!(ran.stderr.starts_with("resumed spring/"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("20 messages can be sent"),
        "{}",
        ran.stderr
    );
    project.ok(&["send", "--drain"]);
    assert_eq!(
        counts(&project),
        [json!("done"), json!(20), json!(0), json!(0)]
    );
    let ran = project.ok(&["pause", "spring"]);
    assert!(ran.stderr.contains("is already done"), "{}", ran.stderr);
    project.ok(&["verify"]);
}

#[test]
fn cancel_is_final_and_takes_effect_at_once() {
    let project = queued(20);
    let run = &project.json(&["cancel", "spring"])["runs"][0];
    assert_eq!(
        (&run["changed"], &run["unfinished"]),
        (&json!(true), &json!(20))
    );
    let cancelled = [json!("cancelled"), json!(0), json!(20), json!(0)];
    assert_eq!(counts(&project), cancelled);
    let ran = project.ok(&["resume", "spring"]);
    assert!(
        ran.stderr.contains("is cancelled for good"),
        "{}",
        ran.stderr
    );
    project.ok(&["send", "--drain"]);
    assert_eq!(counts(&project), cancelled);
    assert_eq!(project.relay.log().accepted.len(), 0);
    project.ok(&["verify"]);
}

/// The rate in force, and where it is from.
fn rate(project: &Project) -> (Value, Value) {
    let status = project.json(&["status"]);
    let rate = &status["rate"];
    (rate["rate"].clone(), rate["source"].clone())
}

#[test]
fn a_rate_given_by_flag_ends_with_its_worker() {
    let project = Project::new("1s");
    let settings = std::fs::read_to_string(project.path("mailq.toml")).unwrap();
    let settings = settings.replace("rate = \"unlimited\"\n", "");
    project.write("mailq.toml", &settings);
    project.people(2);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project.ok(&["send", "--drain", "--rate", "5000/s"]);
    assert_eq!(project.relay.log().accepted.len(), 2);
    assert_eq!(rate(&project), (json!("30/min"), json!("default")));
    project.ok(&["send", "--drain", "--burst", "7"]);
    assert_eq!(project.json(&["status"])["rate"]["burst"], 1);

    let given = (json!("5000/s"), json!("--rate"));
    let mut killed = project.start(&["send", "--rate", "5000/s"], Stdio::null());
    while rate(&project) != given {
        assert_eq!(killed.try_wait().unwrap(), None, "still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    project.ok(&["send", "--drain"]);
    assert_eq!(rate(&project), (json!("30/min"), json!("default")));
}
