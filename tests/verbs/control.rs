//! Pause, resume and cancel, and their counts.

use super::project::Project;
use serde_json::{Value, json};

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
