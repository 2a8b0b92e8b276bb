//! Do messages come out as they should? Whole messages against golden files, any cell against an independent parser,
//! templates that must be refused with their words. `UPDATE_GOLDEN=1` writes the golden files anew.

use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use mailq::domain::address::Address;
use mailq::domain::recipient::RecipientRow;
use mailq::render::{CampaignContent, Composer, Content, TemplateError};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const ID: &str = "0123456789abcdef0123456789abcdef@acme.example";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

fn row(address: &str, fields: &[&str]) -> RecipientRow {
    RecipientRow {
        row: 0,
        line: 2,
        address: Address::parse(address).unwrap(),
        fields: strings(fields),
    }
}

fn content() -> CampaignContent {
    CampaignContent {
        origin: "campaigns/sample.toml".to_string(),
        from: "Acme <news@acme.example>".to_string(),
        subject: "Hello".to_string(),
        ..CampaignContent::default()
    }
}

fn plain() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        subject: "Order {{ order }}".to_string(),
        text: Some("notice.txt".to_string()),
        ..content()
    };
    let columns = strings(&["email", "name", "order"]);
    let content = Content::load(&content, &golden("plain/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row("anna@example.org", &["anna@example.org", "Änna", "A-1 = 7"]);
    (composer, row)
}

fn alternative() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        from: "春の店 <news@例子.example>".to_string(),
        reply_to: Some("\"Help, please\" <help@acme.example>".to_string()),
        subject: "春の大売り出し、{{ name }}様、お見逃しなく：最大半額、今週末まで".to_string(),
        html: Some("spring.html".to_string()),
        text: Some("spring.txt".to_string()),
        headers: vec![
            ("X-Campaign".to_string(), "spring".to_string()),
            (
                "List-Unsubscribe".to_string(),
                "<https://acme.example/u?a={{ email | urlencode }}>, <mailto:u@acme.example>"
                    .to_string(),
            ),
            ("X-Empty".to_string(), "{{ ' ' }}".to_string()),
        ],
        ..content()
    };
    let columns = strings(&["email", "name", "city"]);
    let content = Content::load(&content, &golden("alternative/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row("hanako@例子.jp", &["hanako@例子.jp", "<花子 & Co>", "京都"]);
    (composer, row)
}

fn looped() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        subject: "News for {{ row['First name'] }}".to_string(),
        html: Some("news.html".to_string()),
        text: Some("news.txt".to_string()),
        ..content()
    };
    let columns = strings(&["email", "First name", "titles"]);
    let content = Content::load(&content, &golden("loop/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row(
        "bo@example.org",
        &["bo@example.org", "Bo", "One & two|<Three>|Four"],
    );
    (composer, row)
}

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

/// CRLF only, lines within the limit, ASCII, no `Date`.
fn check_shape(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_ascii() && text.ends_with("\r\n"));
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
    let (headers, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(!headers.to_lowercase().contains("\r\ndate:"));
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

/// A templates directory and a campaign of its files.
struct Case {
    directory: tempfile::TempDir,
    content: CampaignContent,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let templates = directory.path().join("templates");
        std::fs::create_dir(&templates).unwrap();
        for (name, source) in files {
            let path = templates.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, source).unwrap();
        }
        let content = CampaignContent {
            text: Some(files.first().map_or("a.txt", |file| file.0).to_string()),
            ..content()
        };
        Case { directory, content }
    }

    fn subject(mut self, subject: &str) -> Case {
        self.content.subject = subject.to_string();
        self
    }

    fn header(mut self, name: &str, value: &str) -> Case {
        self.content
            .headers
            .push((name.to_string(), value.to_string()));
        self
    }

    fn templates(&self) -> PathBuf {
        self.directory.path().join("templates")
    }

    fn composer(&self) -> Result<Composer, String> {
        let columns = strings(&["email", "name", "city"]);
        let content = Content::load(&self.content, &self.templates());
        let content = content.map_err(|error| error.to_string())?;
        content
            .composer(&columns, "recipients.csv")
            .map_err(|error| error.to_string())
    }

    fn error(&self) -> String {
        let error = self.composer().err().expect("an error");
        error.replace(&self.directory.path().display().to_string(), "…")
    }

    fn compose(&self, name: &str) -> Result<Vec<u8>, String> {
        let row = row("a@x.io", &["a@x.io", name, "Rome"]);
        let composed = self.composer().unwrap().compose(&row, ID);
        composed
            .map(|composed| composed.bytes)
            .map_err(|error| error.to_string())
    }
}

#[test]
fn refuses_unknown_variables_with_place_and_columns() {
    let unknown = |place: &str, name: &str| {
        format!("{place}: `{name}` is not a column of recipients.csv (columns: email, name, city)")
    };
    for (source, wanted) in [
        (
            "Hi\n\n  é {{ nmae }}",
            unknown("templates/a.txt:3:8", "nmae"),
        ),
        (
            "{{ name | default(nickname) }}",
            unknown("templates/a.txt:1:19", "nickname"),
        ),
        (
            "{{ x | default('') }}{{ x }}",
            unknown("templates/a.txt:1:25", "x"),
        ),
        (
            "{% for a in items %}{% endfor %}",
            unknown("templates/a.txt:1:13", "items"),
        ),
        (
            "{% if vip %}{% endif %}",
            unknown("templates/a.txt:1:7", "vip"),
        ),
        (
            "{{ row[\"First name\"] }}",
            unknown("templates/a.txt:1:8", "First name"),
        ),
        ("{{ row.town }}", unknown("templates/a.txt:1:4", "town")),
        (
            "{{ name.first }}",
            "templates/a.txt:1:4: `name` is text and has no attribute `first`".to_string(),
        ),
        (
            "{{ a\n }}{{ ",
            "templates/a.txt:2:4: syntax error: unexpected end of input".to_string(),
        ),
    ] {
        let error = Case::new(&[("a.txt", source)]).error();
        assert!(error.starts_with(&wanted), "{source}: {error}");
    }
    let included = Case::new(&[("a.txt", "{% include 'b.txt' %}"), ("b.txt", "\n{{ c }}")]);
    assert_eq!(included.error(), unknown("templates/b.txt:2:4", "c"));
    let subject = Case::new(&[("a.txt", "x")]).subject("Hi {{ nam }}");
    assert_eq!(
        subject.error(),
        unknown("campaigns/sample.toml: subject:1:7", "nam")
    );
    let header = Case::new(&[("a.txt", "x")]).header("X-A", "{{ z }}");
    assert_eq!(
        header.error(),
        unknown("campaigns/sample.toml: headers.X-A:1:4", "z")
    );
}

#[test]
fn suggests_the_nearest_column() {
    let case = Case::new(&[("a.txt", "{{ nmae }}")]);
    let content = Content::load(&case.content, &case.templates()).unwrap();
    let error = content
        .composer(&strings(&["email", "name"]), "list.csv")
        .err();
    let Some(TemplateError::UnknownColumn(unknown)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(unknown.nearest.as_deref(), Some("name"));
}

#[test]
fn accepts_guarded_and_bound_variables() {
    for source in [
        "{{ nick | default('you') }}",
        "{% if nick is defined %}{{ nick }}{% endif %}",
        "{% if nick is not defined %}-{% else %}{{ nick }}{% endif %}",
        "{% set x = name %}{{ x }}{% for c in name %}{{ c }}{{ loop.index }}{% endfor %}",
        "{% macro m(a, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m(name) }}",
        "{% for n in range(3) %}{{ n }}{% endfor %}",
        "{{ row.name }}{{ row['city'] }}{{ row['x'] | default('') }}",
        "{# {{ nothing }} #}{% raw %}{{ nothing }}{% endraw %}",
    ] {
        Case::new(&[("a.txt", source)])
            .compose("Anna")
            .expect(source);
    }
}

#[test]
fn refuses_templates_outside_their_directory() {
    for name in [
        "../secret.txt",
        "/etc/passwd",
        "b/../../secret.txt",
        "..\\secret.txt",
    ] {
        let source = format!("{{% include {name:?} %}}");
        let case = Case::new(&[("a.txt", &source)]);
        std::fs::write(case.directory.path().join("secret.txt"), "secret").unwrap();
        let wanted = "is outside the templates directory";
        assert!(case.error().ends_with(wanted), "{name}: {}", case.error());
        // A name that only rendering knows reaches no file either.
        let computed = format!("{{% include {name:?} ~ '' %}}");
        let case = Case::new(&[("a.txt", &computed)]);
        std::fs::write(case.directory.path().join("secret.txt"), "secret").unwrap();
        assert!(case.compose("Anna").is_err(), "{name}");
    }
    let case = Case::new(&[("a.txt", "{% include 'link.txt' %}")]);
    let secret = case.directory.path().join("secret.txt");
    std::fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, case.templates().join("link.txt")).unwrap();
    let wanted = "templates/a.txt:1:12: template `link.txt` is outside the templates directory";
    assert_eq!(case.error(), wanted);
}

#[test]
fn reports_a_missing_template_with_the_place_that_names_it() {
    let case = Case::new(&[("a.txt", "\n{% include 'b.txt' %}")]);
    assert_eq!(
        case.error(),
        "templates/a.txt:2:12: no template `b.txt` in `…/templates`"
    );
    let case = Case::new(&[]);
    assert_eq!(
        case.error(),
        "campaigns/sample.toml: no template `a.txt` in `…/templates`"
    );
    Case::new(&[("a.txt", "{% include 'b.txt' ignore missing %}")])
        .compose("x")
        .unwrap();
}

#[test]
fn sources_are_all_files_that_a_message_depends_on() {
    let (composer, _) = looped();
    let names: Vec<String> = composer.sources().into_keys().collect();
    let wanted = [
        "base.html",
        "news.html",
        "news.txt",
        "partials/footer.txt",
        "partials/item.html",
        "partials/macros.html",
    ];
    assert_eq!(names, wanted);
    let computed = Case::new(&[
        ("a.txt", "{% include city ~ '.txt' %}"),
        ("Rome.txt", "Roma"),
        ("Paris.txt", "Paris"),
    ]);
    assert_eq!(computed.composer().unwrap().sources().len(), 3);
    let bytes = computed.compose("Anna").unwrap();
    assert!(
        String::from_utf8(bytes)
            .unwrap()
            .ends_with("\r\n\r\nRoma\r\n")
    );
}

#[test]
fn header_columns_are_those_of_subject_and_headers() {
    let columns = strings(&["email", "name", "city", "x"]);
    let of = |subject: &str, header: &str| {
        let case = Case::new(&[("a.txt", "{{ x }}")])
            .subject(subject)
            .header("X-A", header);
        let content = Content::load(&case.content, &case.templates()).unwrap();
        content.header_columns(&columns)
    };
    assert_eq!(
        of("{{ name }}", "{{ city | default('') }}"),
        ["name", "city"]
    );
    assert_eq!(of("{{ row[email] }}", ""), columns);
    assert_eq!(of("x", "y"), strings(&[]));
}

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
    let (composer, row) = plain();
    for id in ["", "a", "a@b>\r\nBcc: x@y", "a@b@c", "é@b", "<a@b>"] {
        assert!(composer.compose(&row, id).is_err(), "{id}");
    }
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
