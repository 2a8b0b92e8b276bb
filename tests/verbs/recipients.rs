//! `recipients`: states in row order, and rows to send to again.

use super::project::{PARTS, Project};
use std::fs;

fn table(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_string).collect());
    rows.collect()
}

fn states_but_delivered() -> String {
    let states: Vec<&str> = PARTS
        .into_iter()
        .filter(|state| *state != "delivered")
        .collect();
    states.join(",")
}

#[test]
fn lists_recipients_in_row_order_without_formulas() {
    let project = Project::with_everything();
    let rows = table(&project.ok(&["recipients", "spring"]).stdout);
    assert_eq!(rows[0], ["address", "state", "reply", "when", "attempts"]);
    let found: Vec<[&str; 3]> = rows[1..]
        .iter()
        .map(|row| [row[0].as_str(), &row[1], &row[4]])
        .collect();
    let expected = [
        ["anna@example.org", "delivered", "1"],
        ["bounce@example.org", "bounced", "1"],
        ["refuse-data-1@example.org", "dead", "1"],
        ["drop-after-data-1@example.org", "in_doubt", "1"],
        ["defer-1@example.org", "delivered", "2"],
        ["'+plus@example.org", "delivered", "1"],
    ];
    assert_eq!(found, expected);
    assert!(
        rows[2][2].starts_with("550 5.1.1 no such user"),
        "{:?}",
        rows[2]
    );

    let some = table(
        &project
            .ok(&["recipients", "spring", "--state", "dead,bounced"])
            .stdout,
    );
    assert_eq!(
        some[1..]
            .iter()
            .map(|row| row[1].as_str())
            .collect::<Vec<_>>(),
        ["bounced", "dead"]
    );
    let json = project.json(&["recipients", "spring"]);
    let addresses: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["address"].as_str().unwrap())
        .collect();
    assert_eq!(addresses.len(), 6);
    assert_eq!(addresses[5], "+plus@example.org", "JSON is no spreadsheet");
    assert_eq!(
        project.json(&["recipients", "spring", "--state", "expired"]),
        serde_json::json!([])
    );
    assert_eq!(
        project
            .mailq(&["recipients", "spring", "--state", "lost"])
            .code,
        2
    );
    let ran = project.mailq(&["recipients", "spring", "--run", "nosuch"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("has no run `nosuch`"), "{}", ran.stderr);
}

#[test]
fn prints_the_rows_of_undelivered_recipients() {
    let project = Project::with_everything();
    let states = states_but_delivered();
    let ran = project.ok(&["recipients", "spring", "--rows", "--state", &states]);
    assert_eq!(
        table(&ran.stdout),
        [
            ["name", "email"],
            ["Smith, \"Bob\"", "bounce@example.org"],
            [" spaces ", "refuse-data-1@example.org"],
            ["Ünal", "drop-after-data-1@example.org"],
        ]
    );
    assert_eq!(ran.stderr, "", "none of them is still to be sent");
    let all = project.ok(&["recipients", "spring", "--rows"]).stdout;
    assert_eq!(
        all,
        fs::read_to_string(project.path("campaigns/spring.csv")).unwrap()
    );

    project.write("again.csv", &ran.stdout);
    let enqueued = project.json(&[
        "enqueue",
        "again.csv",
        "--campaign",
        "campaigns/spring.toml",
        "--run",
        "again",
    ]);
    // The bounced one is suppressed by now.
    assert_eq!(
        (
            enqueued["recipients"].as_u64(),
            enqueued["suppressed"].as_u64()
        ),
        (Some(3), Some(1))
    );
    project.ok(&["send", "--drain"]);
    let rows = table(
        &project
            .ok(&["recipients", "spring", "--run", "again"])
            .stdout,
    );
    let found: Vec<[&str; 2]> = rows[1..]
        .iter()
        .map(|row| [row[0].as_str(), &row[1]])
        .collect();
    let expected = [
        ["bounce@example.org", "suppressed"],
        ["refuse-data-1@example.org", "delivered"],
        ["drop-after-data-1@example.org", "delivered"],
    ];
    assert_eq!(found, expected);
    project.ok(&["verify"]);
}

#[test]
fn omits_rows_that_were_never_accepted() {
    let project = Project::new("1s");
    let campaign = fs::read_to_string(project.path("campaigns/spring.toml")).unwrap();
    project.write(
        "campaigns/spring.toml",
        &format!("email_column = \"E-Mail\"\n{campaign}"),
    );
    project.write(
        "campaigns/spring.csv",
        "\u{feff}name;E-Mail;a,b\nA;a@example.org;1\nbad;b@@example.org;2\nA2;a@EXAMPLE.org;3\nC;c@example.org;\"4;5\"\nD;d@example.org;6\n",
    );
    let ran = project.mailq(&[
        "enqueue",
        "campaigns/spring.toml",
        "--skip-invalid",
        "--limit",
        "2",
    ]);
    assert_eq!(ran.code, 1, "a row was rejected: {}", ran.stderr);
    let ran = project.ok(&["recipients", "spring", "--rows"]);
    assert_eq!(
        table(&ran.stdout),
        [
            ["name", "E-Mail", "a,b"],
            ["A", "a@example.org", "1"],
            ["C", "c@example.org", "4;5"]
        ]
    );
    assert!(
        ran.stderr
            .contains("this run will still send 2 of these rows"),
        "{}",
        ran.stderr
    );
    let json = project.json(&["recipients", "spring", "--rows"]);
    assert_eq!(json[1]["a,b"], "4;5");
}

#[test]
fn refuses_a_list_that_has_changed() {
    let project = Project::with_everything();
    let file = project.path("campaigns/spring.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("Dora", "Nora")).unwrap();
    let ran = project.mailq(&["recipients", "spring", "--rows"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("has changed since spring/"),
        "{}",
        ran.stderr
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(project.mailq(&["recipients", "spring", "--rows"]).code, 2);
    project.ok(&["recipients", "spring"]);
}
