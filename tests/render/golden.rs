//! Whole messages against golden files and an independent parser. `UPDATE_GOLDEN=1` rewrites the golden files.

use super::fixture::{ID, alternative, check_shape, golden, looped, plain};
use mail_parser::MessageParser;
use mailq::domain::address::Address;

#[test]
fn messages_equal_the_golden_files() {
    for (name, (composer, row)) in [
        ("plain", plain()),
        ("alternative", alternative()),
        ("loop", looped()),
    ] {
        let composed = composer.compose(&row, ID).unwrap().bytes;
        let path = golden(name).join("expected.eml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &composed).unwrap();
        }
        let expected = std::fs::read(&path).unwrap();
        let shown = String::from_utf8_lossy(&composed);
        assert!(composed == expected, "{} differs:\n{shown}", path.display());
        check_shape(&composed);
    }
}

#[test]
fn a_row_gives_the_same_bytes_in_another_composer_and_thread() {
    let (composer, row) = alternative();
    let first = composer.compose(&row, ID).unwrap();
    let second = std::thread::scope(|scope| {
        let other = scope.spawn(|| composer.compose(&row, ID).unwrap());
        other.join().unwrap()
    });
    assert_eq!(first, second);
    assert_eq!(first, alternative().0.compose(&row, ID).unwrap());
}

#[test]
fn an_independent_parser_reads_the_message() {
    let (composer, row) = alternative();
    let bytes = composer.compose(&row, ID).unwrap().bytes;
    let message = MessageParser::default().parse(&bytes).unwrap();
    let name = |header: Option<&mail_parser::Address>| {
        let first = header.and_then(|address| address.first()).unwrap();
        format!("{:?} {:?}", first.name(), first.address())
    };
    assert_eq!(
        name(message.from()),
        "Some(\"春の店\") Some(\"news@xn--fsqu00a.example\")"
    );
    assert_eq!(
        name(message.reply_to()),
        "Some(\"Help, please\") Some(\"help@acme.example\")"
    );
    assert_eq!(name(message.to()), "None Some(\"hanako@xn--fsqu00a.jp\")");
    let subject = "春の大売り出し、<花子 & Co>様、お見逃しなく：最大半額、今週末まで";
    assert_eq!(message.subject(), Some(subject));
    assert_eq!(message.message_id(), Some(ID));
    assert!(
        message
            .body_html(0)
            .unwrap()
            .contains("<p>Dear &lt;花子 &amp; Co&gt;,</p>")
    );
    assert!(
        message
            .body_text(0)
            .unwrap()
            .starts_with("<花子 & Co> 様\r\n\r\n春の")
    );
    assert!(message.header("X-Empty").is_none());
    let names: Vec<&str> = message
        .headers()
        .iter()
        .map(|header| header.name())
        .collect();
    let wanted = [
        "From",
        "To",
        "Reply-To",
        "Subject",
        "Message-ID",
        "MIME-Version",
        "X-Campaign",
        "List-Unsubscribe",
        "Content-Type",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn keeps_a_local_part_beyond_ascii_and_reports_it() {
    let (composer, mut row) = plain();
    row.address = Address::parse("jörg@example.org").unwrap();
    let composed = composer.compose(&row, ID).unwrap();
    assert!(composed.needs_smtputf8);
    let text = String::from_utf8(composed.bytes).unwrap();
    assert!(text.contains("\r\nTo: jörg@example.org\r\n"));
}
