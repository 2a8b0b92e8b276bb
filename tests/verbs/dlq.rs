//! Dead letters: list, show, export, replay, purge.

use super::project::{PARTS, Project};
use serde_json::{Value, json};
use std::fs;

fn list(project: &Project, filter: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["dlq", "list"];
    arguments.extend(filter);
    project.json(&arguments).as_array().unwrap().clone()
}

fn id_of(project: &Project, address: &str) -> String {
    let letters = list(project, &[]);
    let letter = letters.iter().find(|letter| letter["address"] == address);
    letter.unwrap()["id"].as_str().unwrap().to_string()
}

#[test]
fn lists_letters_by_filter() {
    let project = Project::with_everything();
    let letters = list(&project, &[]);
    let addresses: Vec<&Value> = letters.iter().map(|letter| &letter["address"]).collect();
    assert_eq!(
        addresses,
        ["refuse-data-1@example.org", "drop-after-data-1@example.org"]
    );
    let dead = &letters[0];
    for key in [
        "id",
        "campaign",
        "run",
        "address",
        "class",
        "reason",
        "scope",
        "attempts",
        "last_reply",
        "since",
    ] {
        assert!(!dead[key].is_null(), "{key} in {dead}");
    }
    assert_eq!(dead["attempts"], 1);
    assert!(
        dead["last_reply"]
            .as_str()
            .unwrap()
            .starts_with("550 5.7.1 refused by policy"),
        "{dead}"
    );

    let text = |key: &str| dead[key].as_str().unwrap();
    let (id, reason, class) = (text("id"), text("reason"), text("class"));
    assert_ne!(class, "temporary");
    let of_class = |class: &str| {
        letters
            .iter()
            .filter(|letter| letter["class"] == class)
            .count()
    };
    for (filter, count) in [
        (&["--reason", "in_doubt"][..], 1),
        (&["--reason", reason], 1),
        (&["--reason", "no_mailbox"], 0),
        (&["--class", class], of_class(class)),
        (&["--class", "hard"], of_class("hard")),
        (&["--reason", reason, "--class", "temporary"], 0),
        (&["--site", "EXAMPLE.org"], 2),
        (&["--site", "example.net"], 0),
        (&["--since", "1h"], 2),
        (&["--since", "2099-01-01T00:00:00Z"], 0),
        (&["--id", id], 1),
        (&["--id", id, "--reason", "in_doubt"], 0),
        (&["--campaign", "spring"], 2),
    ] {
        assert_eq!(list(&project, filter).len(), count, "{filter:?}");
    }
    let ran = project.mailq(&["dlq", "list", "--reason", "in-doubt"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("hint: did you mean `in_doubt`?"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.mailq(&["dlq", "list", "--since", "soon"]).code, 2);

    let text = project.ok(&["dlq", "list"]);
    assert!(
        text.stdout.contains("in_doubt (connection_lost)"),
        "{}",
        text.stdout
    );
    assert!(text.stderr.contains("2 letters"), "{}", text.stderr);
}

#[test]
fn show_prints_the_history_and_the_message() {
    let project = Project::with_everything();
    let id = id_of(&project, "refuse-data-1@example.org");
    let text = project.ok(&["dlq", "show", &format!("<{id}>")]).stdout;
    let history = text.lines().find(|line| line.contains("  dead ")).unwrap();
    assert!(history.contains("550 5.7.1 refused by policy"), "{history}");
    assert!(history.contains("127.0.0.1"), "{history}");
    let message = text.split_once("\n\n").unwrap().1;
    for part in [
        &format!("Message-ID: <{id}>\r\n"),
        "To: refuse-data-1@example.org\r\n",
        "\r\n\r\nHello  spaces",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    let shown = project.json(&["dlq", "show", &id]);
    assert_eq!(shown["history"][0]["header"]["eventType"], "mail.dead");
    assert!(
        shown["message"]["content"]
            .as_str()
            .unwrap()
            .contains("Hello")
    );

    let ran = project.mailq(&["dlq", "show", "nobody@nowhere"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("`nobody@nowhere`"), "{}", ran.stderr);
}

#[test]
fn export_writes_each_message_and_a_table() {
    let project = Project::with_everything();
    let id = id_of(&project, "refuse-data-1@example.org");
    let done = project.json(&["dlq", "export", "--to", "out"]);
    assert_eq!(done["exported"], 2);
    let message = fs::read_to_string(project.path(&format!("out/{id}.eml"))).unwrap();
    assert!(message.contains(&format!("Message-ID: <{id}>\r\n")));
    let mut table = csv::Reader::from_path(project.path("out/letters.csv")).unwrap();
    let ids: Vec<String> = table
        .records()
        .map(|row| row.unwrap()[0].to_string())
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&id));
}

#[test]
fn replay_includes_letters_in_doubt_only_on_request() {
    let project = Project::with_everything();
    let dead = id_of(&project, "refuse-data-1@example.org");
    let dry = project.json(&["dlq", "replay", "--dry-run"]);
    assert_eq!((&dry["replayed"], &dry["run"]), (&json!(1), &Value::Null));
    assert_eq!(list(&project, &[]).len(), 2, "a dry run changes nothing");

    let done = project.json(&["dlq", "replay"]);
    assert_eq!(
        (
            &done["replayed"],
            &done["already_replayed"],
            &done["skipped"]
        ),
        (&json!(1), &json!(0), &json!(1))
    );
    assert_eq!(done["in_doubt"], 1);
    assert!(done["run"].is_string());
    assert_eq!(list(&project, &[]).len(), 1, "the one in doubt stays");
    assert_eq!(project.status()["pending"], 1);
    let again = project.json(&["dlq", "replay", "--id", &dead]);
    assert_eq!(
        (&again["replayed"], &again["already_replayed"]),
        (&json!(0), &json!(1))
    );
    project.ok(&["verify"]);

    project.ok(&["send", "--drain"]);
    let row = project.status();
    assert_eq!(
        (&row["delivered"], &row["dead"], &row["in_doubt"]),
        (&json!(4), &json!(0), &json!(1))
    );
    let accepted = project.relay.log().accepted;
    let ids = accepted
        .iter()
        .filter(|mail| mail.message_id.contains(&dead));
    assert_eq!(ids.count(), 1, "the same Message-ID, once");

    let ran = project.ok(&["dlq", "replay"]);
    assert!(
        ran.stderr.contains("no letters to replay"),
        "{}",
        ran.stderr
    );
    let done = project.json(&["dlq", "replay", "--reason", "in_doubt"]);
    assert_eq!(done["replayed"], 1);
    project.ok(&["send", "--drain"]);
    let row = project.status();
    assert_eq!(
        (&row["delivered"], &row["in_doubt"], &row["bounced"]),
        (&json!(5), &json!(0), &json!(1))
    );
    project.ok(&["verify"]);
    let ran = project.mailq(&["dlq", "replay", "--id", "nobody@nowhere"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn replay_skips_letters_of_cancelled_runs() {
    let project = Project::new("1h");
    project.list(&[
        ("refuse-data-1@example.org", "R"),
        ("defer-1@example.org", "D"),
    ]);
    project.ok(&["enqueue", "campaigns/spring.toml"]);
    project.mailq(&["send", "--drain", "--max-wait", "1s"]);
    let id = id_of(&project, "refuse-data-1@example.org");
    project.ok(&["cancel", "spring"]);
    let ran = project.ok(&["dlq", "replay"]);
    assert!(ran.stderr.contains("skipped 1 letter"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&id), "{}", ran.stderr);
    let done = project.json(&["dlq", "replay"]);
    assert_eq!(
        (&done["replayed"], &done["skipped"]),
        (&json!(0), &json!(1))
    );
}

#[test]
fn purge_requires_a_filter() {
    let project = Project::with_everything();
    let ran = project.mailq(&["dlq", "purge"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("`--all`"), "{}", ran.stderr);
    assert_eq!(
        project.json(&["dlq", "purge", "--all", "--dry-run"])["purged"],
        2
    );
    assert_eq!(list(&project, &[]).len(), 2);
    assert_eq!(
        project.json(&["dlq", "purge", "--reason", "in_doubt"])["purged"],
        1
    );
    assert_eq!(project.json(&["dlq", "purge", "--all"])["purged"], 1);
    assert_eq!(list(&project, &[]).len(), 0);
    assert_eq!(project.json(&["status"])["dlq"], 0);
    let row = project.status();
    assert_eq!(
        (&row["dead"], &row["in_doubt"]),
        (&json!(1), &json!(1)),
        "they died all the same"
    );
    assert!(PARTS.iter().all(|part| row[*part].is_u64()));
    project.ok(&["verify"]);
    assert_eq!(project.json(&["dlq", "replay"])["replayed"], 0);
}
