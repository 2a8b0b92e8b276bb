//! The real binary, for commands without a worker: errors, JSON documents and exit codes.

use super::cli::{Folder, Ran};
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::Behaviour;
use serde_json::Value;
use std::fs;

const CAMPAIGN: &str = "from = \"Acme <news@acme.example>\"\nsubject = \"Hello {{ name }}\"\ntext = \"a.txt\"\n\
    [headers]\n\"List-Unsubscribe\" = \"<https://acme.example/u/{{ email | urlencode }}>, <mailto:leave@acme.example>\"\n\
    \"List-Unsubscribe-Post\" = \"List-Unsubscribe=One-Click\"\n";

/// A project with a campaign `a` and this list.
fn project(list: &[u8]) -> Folder {
    let folder = Folder::new();
    folder
        .write("mailq.toml", "[[relay]]\nurl = \"maildir:outbox\"\n")
        .write("a.toml", CAMPAIGN)
        .write("templates/a.txt", "Hello {{ name }},\n\nbye\n");
    fs::write(folder.path().join("a.csv"), list).expect("a list");
    folder
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

/// Each list has one mistake and is refused for it, with a hint.
#[test]
fn refuses_each_invalid_list_for_its_reason() {
    let long_cell = format!("email,name\na@b.cd,{}\n", "x".repeat((1 << 20) + 1));
    for (list, error, id) in [
        (&b""[..], "a.csv is empty", "E30"),
        (
            b"mail,name\na@b.cd,A\n",
            "a.csv:1: no column `email` (columns: mail, name)",
            "E30",
        ),
        (
            b"email,,name\na@b.cd,x,A\n",
            "a.csv:2: column 2 has no name in the header row, but is `x` in this row",
            "E30",
        ),
        (
            b"email,name,name\na@b.cd,,A\n",
            "a.csv:1: two columns are called `name`",
            "E30",
        ),
        (
            b"a@b.cd,A\n",
            "a.csv:1: no header row: `a@b.cd` is an address",
            "E30",
        ),
        (
            b"email,name\nanna@@example.org,A\n",
            "a.csv:2: column `email` is `anna@@example.org`: two `@`",
            "E30",
        ),
        (
            b"email,name\n,A\n",
            "a.csv:2: column `email` is ``: empty",
            "E30",
        ),
        (
            b"email,name\na@xn--zz.cd,A\n",
            "a.csv:2: column `email` is `a@xn--zz.cd`: the domain is not a valid",
            "E31",
        ),
        (
            b"email,name\na@b.cd,A,C\n",
            "a.csv:2: this row has 3 cells, the header has 2 columns",
            "E30",
        ),
        (
            b"email,name\na@b.cd\n",
            "a.csv:2: this row has 1 cell, the header has 2 columns",
            "E30",
        ),
        (
            b"email,name\na@b.cd,\"A\n",
            "a.csv:2: a quoted cell is never closed",
            "E30",
        ),
        (
            b"email,name\na@b.cd,\"A\"b\n",
            "a.csv:2: text after the closing quote",
            "E30",
        ),
        (
            b"email,name\na@b.cd,A \"B\"\n",
            "a.csv:2: a quote inside an unquoted cell",
            "E30",
        ),
        (
            b"email,name\na@b.cd,A\0\n",
            "a.csv:2: column `name` is `A\\u{0}`: a NUL byte",
            "E03",
        ),
        (
            b"email,name\na@b.cd,\"A\nBcc: x@y.zz\"\n",
            "a.csv:2: column `name` is `A\\nBcc: x@y.zz`: a line break is not allowed in a cell that is used in a message header",
            "E03",
        ),
        (
            b"email,name\na@b.cd,\xff\n",
            "a.csv:2: `ÿ` is not UTF-8; the list looks like windows-1252",
            "E30",
        ),
        (
            long_cell.as_bytes(),
            "a.csv:2: a cell is longer than 1048576 bytes",
            "E30",
        ),
        (
            b"email,name\n",
            "a.csv has no row that can be mailed",
            "E30",
        ),
    ] {
        let folder = project(list);
        let ran = folder.mailq(&["check", "a.toml"]);
        let shown = String::from_utf8_lossy(list.get(..60).unwrap_or(list)).into_owned();
        assert_eq!(ran.code, 2, "{shown}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with(&format!("error: {error}")),
            "{shown}: {}",
            ran.stderr
        );
        let (first, rest) = ran.stderr.split_once('\n').expect("two lines");
        assert!(first.ends_with(&format!("[{id}]")), "{first}");
        assert!(rest.starts_with("hint: "), "{rest}");
        assert!(
            !folder.path().join(".mailq").exists(),
            "check makes nothing"
        );
        let found = json(&folder.mailq(&["check", "a.toml", "--json"]));
        assert_eq!(found["findings"][0]["id"], id);
        assert_eq!(found["findings"][0]["severity"], "error");
    }
}

#[test]
fn check_continues_after_errors_and_counts_all_rows() {
    let folder =
        project(b"email,name\nA@b.cd,A\na@B.cd,B\nx@gmial.com,C\nbad,D\n\xe5\x8f\x82@b.cd,\n");
    folder.write("templates/a.txt", "{{ first_name }}\n");
    let found = json(&folder.mailq(&["check", "a.toml", "--json"]));
    assert_eq!(found["rows"], 5);
    assert_eq!(
        found["accepted"].as_u64().unwrap_or(0) + found["duplicates"].as_u64().unwrap_or(0),
        4
    );
    assert_eq!(found["invalid"], 1);
    let findings = found["findings"].as_array().expect("a list");
    let ids: Vec<&str> = findings
        .iter()
        .filter_map(|found| found["id"].as_str())
        .collect();
    for id in ["E20", "E30", "W32", "W34"] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
    let ran = folder.mailq(&["check", "a.toml"]);
    assert!(
        ran.stderr.contains("error: templates/a.txt:1:4: `first_name` is not a column of a.csv (columns: email, name)"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn a_good_campaign_has_no_findings() {
    let folder = project(b"email,name\na@b.cd,Anna\nb@b.cd,Bert\n");
    let ran = folder.mailq(&["check", "a.toml", "--relay"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains("2 rows, 2 to be mailed"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("result      0 errors, 0 warnings"),
        "{}",
        ran.stdout
    );
}

#[test]
fn check_connects_to_the_relay() {
    let folder = project(b"email,name\na@b.cd,Anna\n");
    let relay = FakeRelay::start(Behaviour::default());
    let variables = [("MAILQ_RELAY", relay.url())];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let ran = folder.mailq_with(&["check", "a.toml", "--relay", "--json"], &variables);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = json(&ran);
    assert_eq!(found["relays"][0]["ok"], true);
    assert_eq!(found["relays"][0]["pipelining"], true);
    let away = [("MAILQ_RELAY", "smtp://127.0.0.1:1")];
    let ran = folder.mailq_with(&["check", "a.toml", "--relay"], &away);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    assert!(
        ran.stderr
            .starts_with("warning: relay `127.0.0.1:1` cannot be used at connect"),
        "{}",
        ran.stderr
    );
}

#[test]
fn preview_shows_the_message_of_a_row() {
    let folder = project("email,name\na@b.cd,Anna\nbad,B\nc@b.cd,Zoë\n".as_bytes());
    let ran = folder.mailq(&["preview", "a.toml", "--row", "3"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        ran.stdout,
        "From: Acme <news@acme.example>\nTo: c@b.cd\nSubject: Hello Zoë\n\
         List-Unsubscribe: <https://acme.example/u/c%40b.cd>, <mailto:leave@acme.example>\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\n\nHello Zoë,\n\nbye\n"
    );
    let document = json(&folder.mailq(&["preview", "a.toml", "--json"]));
    assert_eq!(document["address"], "a@b.cd");
    assert_eq!(document["text"], "Hello Anna,\n\nbye");
    assert!(
        document["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("Date: "))
    );
    let ran = folder.mailq(&["preview", "a.toml", "--row", "2"]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "error: row 2 of `a.csv` gets no mail: it is invalid or repeats an earlier address\n\
         hint: `mailq check a.toml` shows what is wrong\n"
    );
    let ran = folder.mailq(&["preview", "a.toml", "--row", "4"]);
    assert_eq!(
        ran.stderr,
        "error: `a.csv` has no row 4, only 3 rows\nhint: use `--row N` with N from 1 to 3\n"
    );
}

#[test]
fn test_sends_one_message_and_reports_the_result() {
    let folder = project(b"email,name\nb@b.cd,Anna\n");
    let relay = FakeRelay::start(Behaviour {
        keeps_content: true,
        ..Behaviour::default()
    });
    let url = relay.url();
    let variables = [("MAILQ_RELAY", url.as_str())];
    for (to, code, error) in [
        ("me@example.org", 0, ""),
        (
            "bounce@example.org",
            1,
            "refused the message for `bounce@example.org` at RCPT TO: 550",
        ),
        (
            "defer-1@example.org",
            75,
            "refused the message for `defer-1@example.org` at RCPT TO: 4",
        ),
    ] {
        let ran = folder.mailq_with(&["test", "a.toml", "--to", to], &variables);
        assert_eq!(ran.code, code, "{to}: {}", ran.stderr);
        if error.is_empty() {
            assert!(ran.stdout.starts_with("250 "), "{}", ran.stdout);
        } else {
            assert!(
                ran.stderr.contains(error) && ran.stderr.contains("\nhint: "),
                "{}",
                ran.stderr
            );
        }
    }
    let log = relay.log();
    assert_eq!(log.connections, 3);
    assert_eq!(log.accepted.len(), 1);
    let ran = folder.mailq(&["test", "a.toml", "--to", "nobody"]);
    assert_eq!(
        ran.stderr,
        "error: `--to` is `nobody`: no `@`; nothing was sent\nhint: give an address of yours: `--to me@example.com`\n"
    );
    folder.write("mailq.toml", "");
    let ran = folder.mailq(&["test", "a.toml", "--to", "me@example.org"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .starts_with("error: no relay is configured; nothing was sent\nhint: set SMTP_HOST")
    );
}

#[test]
fn adds_removes_imports_and_exports_suppressed_addresses() {
    let folder = project(b"email,name\na@b.cd,Anna\n");
    let ran = folder.mailq(&["suppress", "list"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.starts_with("error: no queue here") && ran.stderr.contains("\nhint: "),
        "{}",
        ran.stderr
    );

    let ran = folder.mailq(&[
        "suppress",
        "add",
        "A@B.cd",
        "x@b\u{fc}cher.example",
        "--reason",
        "complaint",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(json(&ran)["added"][1], "x@xn--bcher-kva.example");
    assert_eq!(folder.mailq(&["suppress", "add", "nobody"]).code, 2);
    folder.write(
        "list.csv",
        "email;reason\nc@d.ef;unsubscribe\nnobody\na@b.cd;\n",
    );
    let ran = folder.mailq(&["suppress", "import", "list.csv", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let counts = json(&ran);
    assert_eq!(
        (
            &counts["added"],
            &counts["already_suppressed"],
            &counts["rejected"]
        ),
        (&1.into(), &1.into(), &1.into())
    );
    assert!(
        ran.stderr
            .contains("warning: list.csv: line 3: `nobody` is not an address"),
        "{}",
        ran.stderr
    );

    for (address, code, told) in [
        ("a@B.CD", 1, "a@b.cd: suppressed, complaint since"),
        (
            "x@B\u{dc}CHER.example",
            1,
            "x@xn--bcher-kva.example: suppressed",
        ),
        ("z@b.cd", 0, "z@b.cd: not suppressed"),
    ] {
        let ran = folder.mailq(&["suppress", "check", address]);
        assert_eq!(ran.code, code, "{address}");
        assert!(ran.stdout.starts_with(told), "{}", ran.stdout);
    }
    let found = json(&folder.mailq(&["check", "a.toml", "--json"]));
    assert_eq!(found["findings"][0]["id"], "W35");

    assert_eq!(folder.mailq(&["suppress", "remove", "a@b.cd"]).code, 0);
    let ran = folder.mailq(&["suppress", "export"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(
        lines[1].starts_with("c@d.ef,unsubscribe,list.csv:2,"),
        "{}",
        lines[1]
    );
    assert_eq!(
        json(&folder.mailq(&["suppress", "list", "--json"]))
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[test]
fn explains_classifies_and_tests_replies() {
    let folder = Folder::new();
    let ran = folder.mailq(&["bounce", "explain", "550 5.1.1 user unknown", "--json"]);
    let found = json(&ran);
    assert_eq!(
        (&found["class"], &found["scope"], &found["retry"]),
        (&"hard".into(), &"recipient".into(), &false.into())
    );
    let found = json(&folder.mailq(&["bounce", "explain", "450 4.2.0 Greylisted", "--json"]));
    assert_eq!(
        (&found["reason"], &found["retry"]),
        (&"greylisted".into(), &true.into())
    );
    folder.write("replies", "550 5.1.1 user unknown\n\nhello\n");
    let ran = folder.mailq(&["bounce", "classify", "replies"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "one for each, in order");
    assert_eq!(
        lines[0],
        "550 5.1.1 user unknown\thard\tno_mailbox\trecipient"
    );
    folder.write("t.tsv", "550 5.1.1 user unknown\thard\n451 later\thard\n");
    let ran = folder.mailq(&["bounce", "test", "t.tsv"]);
    assert!(
        ran.stdout.ends_with("accuracy 50.00 % (1 of 2)\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .starts_with("t.tsv:2: expected hard, got temporary"),
        "{}",
        ran.stdout
    );
    folder.write("t.tsv", "\n");
    assert_eq!(folder.mailq(&["bounce", "test", "t.tsv"]).code, 2);
    folder.write("t.tsv", "550 5.1.1 user unknown\thrad\n");
    let ran = folder.mailq(&["bounce", "test", "t.tsv"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .starts_with("error: t.tsv:1: `hrad` is not a class\nhint: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn init_creates_the_queue_and_reads_utf_16() {
    let folder = Folder::new();
    let bytes: Vec<u8> = "\u{feff}Name\tE-Mail\nAnna\ta@b.cd\n"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    fs::write(folder.path().join("list.csv"), bytes).expect("a list");
    let ran = folder.mailq(&["init", "--from", "list.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(folder.path().join(".mailq/queue.db").is_file());
    assert!(
        folder
            .read("list.toml")
            .contains("email_column = \"E-Mail\"")
    );
    assert_eq!(folder.mailq(&["preview", "list.toml"]).code, 0);
    assert_eq!(folder.mailq(&["suppress", "list"]).code, 0);
}

#[test]
fn suggests_init_for_a_list_without_a_campaign_file() {
    let folder = Folder::new();
    folder.write("list.csv", "email\na@b.cd\n");
    let ran = folder.mailq(&["enqueue", "list.csv"]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "error: no campaign file `list.toml` beside `list.csv`; nothing was enqueued\n\
         hint: create one with `mailq init --from list.csv`, or give one with `--campaign FILE`\n"
    );
}

#[test]
fn an_exported_suppression_list_comes_back_as_it_was() {
    let list = "address,reason,source,since,campaign\n\
                anna@example.com,complaint,\"550 5.7.1 \"\"no\"\", thanks\",2026-05-01T00:00:00.25Z,spring\n\
                ben@example.com,manual,called us and was angry,2026-05-02T00:00:00Z,\n";
    let folder = Folder::new();
    folder.write("list.csv", list);
    assert_eq!(folder.mailq(&["suppress", "import", "list.csv"]).code, 0);
    assert_eq!(folder.mailq(&["suppress", "export"]).stdout, list);
}
