//! Errors of single messages and of a campaign's content, header fields without a value, and hostile cells.

use super::fixture::{Case, ID, check_shape, plain, row, strings};
use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use mailq::render::{CampaignContent, Content};
use proptest::prelude::*;

#[test]
fn a_rendering_error_has_template_and_line() {
    let case = Case::new(&[("a.txt", "\n{{ name | int }}")]);
    let error = case.compose("Anna").unwrap_err();
    assert!(error.starts_with("templates/a.txt:2: "), "{error}");
    assert!(error.ends_with(" (recipient on line 2)"), "{error}");
    let nested = Case::new(&[
        ("a.txt", "{% include 'b.txt' %}"),
        ("b.txt", "\n\n{{ name | int }}"),
    ]);
    assert!(
        nested
            .compose("Anna")
            .unwrap_err()
            .starts_with("templates/b.txt:3: ")
    );
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let error = Case::new(&[("a.txt", endless)])
        .compose("Anna")
        .unwrap_err();
    assert!(error.contains("more than 2000000 steps"), "{error}");
    let long = "{% set a = 'x' * 9999 %}{% for b in range(9999) %}{{ a }}{% endfor %}";
    let error = Case::new(&[("a.txt", long)]).compose("Anna").unwrap_err();
    assert!(error.contains("more than 8388608 bytes"), "{error}");
    let case = Case::new(&[("a.txt", "x")]).header("X-A", "{{ name }}");
    let error = case.compose("a\r\nBcc: b@x.io").unwrap_err();
    let wanted = "campaigns/sample.toml: headers.X-A: a control character or line break in the value of a header (recipient on line 2)";
    assert_eq!(error, wanted);
}

#[test]
fn refuses_content_that_no_message_can_be_made_with() {
    let case = Case::new(&[("a.txt", "x")]);
    let error = |change: &dyn Fn(&mut CampaignContent)| {
        let mut content = case.content.clone();
        change(&mut content);
        Content::load(&content, &case.templates())
            .err()
            .unwrap()
            .to_string()
    };
    let origin = "campaigns/sample.toml";
    assert_eq!(
        error(&|content| content.from = "Acme <a@@b.io>".to_string()),
        format!("{origin}: `from` is `Acme <a@@b.io>`: two `@`")
    );
    assert_eq!(
        error(&|content| content.text = None),
        format!("{origin}: neither `html` nor `text` is given")
    );
    assert_eq!(
        error(&|content| content.headers.push(("bcc".to_string(), String::new()))),
        format!("{origin}: header `bcc`: mailq sets this header itself")
    );
    let twice = |content: &mut CampaignContent| {
        content.headers.push(("X-A".to_string(), "1".to_string()));
        content.headers.push(("x-a".to_string(), "2".to_string()));
    };
    assert_eq!(
        error(&twice),
        format!("{origin}: header `x-a`: given twice")
    );
    assert_eq!(
        error(&|content| content.from = "{{ email }}".to_string()),
        format!("{origin}: `return_path` is required, because the address in `from` is a template")
    );
    assert_eq!(
        error(&|content| content.from = "{{ name }} <news@>".to_string()),
        format!("{origin}: `from` is `<news@>`: nothing after the `@`")
    );
    let (composer, row) = plain();
    for id in ["", "a", "a@b>\r\nBcc: x@y", "a@b@c", "é@b", "<a@b>"] {
        assert!(composer.compose(&row, id).is_err(), "{id}");
    }
}

/// The message with these address fields, for a row with `name` in a column and `beside` beside the address.
fn addressed(
    change: impl Fn(&mut CampaignContent),
    name: &str,
    beside: Option<&str>,
) -> Result<Vec<u8>, String> {
    let bytes = international(change, name, beside)?;
    check_shape(&bytes);
    Ok(bytes)
}

/// The same; the message may have letters outside ASCII.
fn international(
    change: impl Fn(&mut CampaignContent),
    name: &str,
    beside: Option<&str>,
) -> Result<Vec<u8>, String> {
    let mut case = Case::new(&[("a.txt", "x")]);
    change(&mut case.content);
    let mut row = row("a@x.io", &["a@x.io", name, "Rome"]);
    row.name = beside.map(str::to_string);
    let composed = case.composer()?.compose(&row, ID);
    let composed = composed.map_err(|error| error.to_string())?;
    Ok(composed.bytes)
}

#[test]
fn no_field_has_letters_outside_ascii_that_the_relay_is_not_asked_for() {
    let from_the_row = |content: &mut CampaignContent| {
        content.reply_to = Some("{{ name }}".to_string());
    };
    let fixed = |content: &mut CampaignContent| {
        content.reply_to = Some("jörg@acme.example".to_string());
    };
    let why = "letters outside ASCII before the `@`";
    for refused in [
        addressed(from_the_row, "jörg@acme.example", None),
        addressed(fixed, "Berg", None),
    ] {
        assert!(refused.as_ref().unwrap_err().contains(why), "{refused:?}");
    }
    // The domain has another spelling in ASCII.
    let message = addressed(from_the_row, "berg@jörg.example", None).unwrap();
    assert!(message.is_ascii());
    let everywhere = |content: &mut CampaignContent| {
        content.from = "jörg@acme.example".to_string();
        content.reply_to = Some("{{ name }}".to_string());
    };
    assert!(international(everywhere, "jörg@acme.example", None).is_ok());
}

#[test]
fn address_fields_may_be_templates() {
    let templates = |content: &mut CampaignContent| {
        content.from = "{{ name }}, {{ city }} <news@acme.example>".to_string();
        content.reply_to = Some("{{ name | lower }}@{{ city | lower }}.example".to_string());
        content.to_name = Some("{{ city }}".to_string());
    };
    let message = String::from_utf8(addressed(templates, "Berg", Some("Anna")).unwrap()).unwrap();
    let fields = "From: \"Berg, Rome\" <news@acme.example>\r\nTo: Rome <a@x.io>\r\nReply-To: berg@rome.example\r\n";
    assert!(message.starts_with(fields), "{message}");

    let origin = "campaigns/sample.toml";
    for (name, wanted) in [
        (
            "a@@b.io",
            format!("{origin}: reply_to: `a@@b.io`: two `@` (recipient on line 2)"),
        ),
        (
            "a b",
            format!("{origin}: reply_to: `a b`: no `@` (recipient on line 2)"),
        ),
        (
            "a@b.io\r\nBcc: c@d.io",
            format!(
                "{origin}: reply_to: `a@b.io\\r\\nBcc: c@d.io`: a control character (recipient on line 2)"
            ),
        ),
    ] {
        let owner =
            |content: &mut CampaignContent| content.reply_to = Some("{{ name }}".to_string());
        assert_eq!(addressed(owner, name, None).unwrap_err(), wanted);
    }
    let owner = |content: &mut CampaignContent| content.reply_to = Some("{{ name }}".to_string());
    let message = String::from_utf8(addressed(owner, " ", None).unwrap()).unwrap();
    assert!(!message.contains("Reply-To"), "{message}");
}

#[test]
fn the_name_beside_the_address_is_in_to_unless_the_campaign_says_otherwise() {
    let to = |to_name: Option<&str>, beside| {
        let change = |content: &mut CampaignContent| content.to_name = to_name.map(str::to_string);
        let message = addressed(change, "Otto", beside).unwrap();
        let message = String::from_utf8(message).unwrap();
        let mut lines = message.lines();
        lines
            .find(|line| line.starts_with("To: "))
            .unwrap()
            .to_string()
    };
    assert_eq!(to(None, None), "To: a@x.io");
    assert_eq!(to(None, Some("Anna")), "To: Anna <a@x.io>");
    assert_eq!(to(Some("{{ name }}"), Some("Anna")), "To: Otto <a@x.io>");
    assert_eq!(to(Some(" "), Some("Anna")), "To: a@x.io");
}

#[test]
fn a_grouped_message_has_all_rows_of_the_mailbox() {
    let mut case = Case::new(&[(
        "a.txt",
        "{{ name }} of {{ rows | length }}:{% for row in rows %} {{ row.name }} in {{ row['city'] }}{% endfor %}; {{ name }}",
    )]);
    assert!(
        case.error().contains("`rows` is not a column"),
        "{}",
        case.error()
    );
    case.content.group = true;
    case.content.subject = "{{ rows | map(attribute='name') | join(', ') }}".to_string();
    let mut recipient = row("a@x.io", &["a@x.io", "Mia", "Rome"]);
    recipient.others = vec![strings(&["a@x.io", "Tom", "Bern"])];
    let composed = case.composer().unwrap().compose(&recipient, ID).unwrap();
    let message = String::from_utf8(composed.bytes).unwrap();
    assert!(message.contains("\r\nSubject: Mia, Tom\r\n"), "{message}");
    assert!(
        message.contains("Mia of 2: Mia in Rome Tom in Bern; Mia"),
        "{message}"
    );

    recipient.others[0][1] = "Tom\r\nBcc: b@x.io".to_string();
    let refused = case.composer().unwrap().compose(&recipient, ID);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("a control character")
    );

    let columns = strings(&["email", "rows"]);
    let content = Content::load(&case.content, &case.templates()).unwrap();
    let error = content
        .composer(&columns, "list.csv")
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("list.csv has a column of that name"),
        "{error}"
    );
}

#[test]
fn leaves_out_header_fields_without_a_value() {
    let case = Case::new(&[("a.txt", "x")])
        .subject("")
        .header("X-Constant", " ")
        .header("X-Rendered", "{{ name }}")
        .header("X-City", "{{ city }}");
    let message = String::from_utf8(case.compose("").unwrap()).unwrap();
    assert!(!message.contains("X-Constant") && !message.contains("X-Rendered"));
    assert!(message.contains("\r\nX-City: Rome\r\n"));
    assert!(message.contains("\r\nSubject: \r\n"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_cell_injects_a_header_or_changes_another_part(
        name in "(\\PC|[\r\n\t\0\u{7f}]|=\\?utf-8\\?q\\?=0D=0ABcc:_x@y.io\\?=|\r\nBcc: x@y.io\r\n|--=_0123456789abcdef0123456789abcdef|<script>|\r\n\\.\r\n){0,12}",
    ) {
        let mut case = Case::new(&[("a.txt", "begin {{ name }} end"), ("b.html", "<p>{{ name }}</p>")])
            .header("X-City", "{{ city }}");
        case.content.html = Some("b.html".to_string());
        let shown = case.compose(&name).unwrap();
        check_shape(&shown);
        let message = MessageParser::default().parse(&shown).unwrap();
        let names: Vec<&str> = message.headers().iter().map(|header| header.name()).collect();
        prop_assert_eq!(names, ["From", "To", "Subject", "Message-ID", "MIME-Version", "X-City", "Content-Type"]);
        prop_assert_eq!(message.parts.len(), 3);
        let lines = name.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        let text = message.text_part(0).and_then(|part| part.text_contents());
        let wanted = format!("begin {lines} end");
        prop_assert_eq!(text, Some(wanted.as_str()));
        let html = message.html_part(0).and_then(|part| part.text_contents()).unwrap();
        prop_assert_eq!(html.matches('<').count(), 2);
        prop_assert!(message.part(1).unwrap().content_type().unwrap().subtype() == Some("plain"));

        // As a name beside addresses the cell arrives as it is, or is refused.
        let names = |content: &mut CampaignContent| {
            content.from = "{{ name }} <news@acme.example>".to_string();
            content.to_name = Some("{{ name }}".to_string());
        };
        match addressed(names, &name, None) {
            Err(error) => prop_assert!(
                name.len() > 255
                    || name.contains(['"', '\\', '<', '>'])
                    || name.chars().any(char::is_control)
                    // What stands before the address may be a list of addresses.
                    || (name.contains(',') && name.contains('@')),
                "{}", error
            ),
            Ok(bytes) => {
                let message = MessageParser::default().parse(&bytes).unwrap();
                prop_assert_eq!(message.headers().len(), 7);
                for (field, address) in [(message.from(), "news@acme.example"), (message.to(), "a@x.io")] {
                    let mailboxes = field.and_then(|field| field.as_list()).unwrap_or_default();
                    prop_assert_eq!(mailboxes.len(), 1);
                    prop_assert_eq!(mailboxes[0].address(), Some(address));
                    let found = mailboxes[0].name().unwrap_or_default();
                    prop_assert_eq!(found.trim(), name.trim());
                }
            }
        }

        // The same cell in the subject either arrives as it is or is refused; it never becomes anything else.
        let case = Case::new(&[("a.txt", "x")]).subject("Hi {{ name }}!");
        match case.compose(&name) {
            Err(error) => prop_assert!(name.bytes().any(|byte| byte.is_ascii_control()), "{}", error),
            Ok(bytes) => {
                check_shape(&bytes);
                let message = MessageParser::default().parse(&bytes).unwrap();
                prop_assert_eq!(message.headers().len(), 7);
                let subject = message.header_as("Subject", HeaderForm::Text);
                let subject = subject.first().and_then(|value| value.as_text());
                let wanted = format!("Hi {name}!");
                prop_assert_eq!(subject, Some(wanted.as_str()));
            }
        }
    }
}
