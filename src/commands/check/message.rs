//! Checks rendered messages the way receivers do. Pure: bytes and decoded text in, findings out.

use super::finding::Finding;
use super::report::Report;
use crate::domain::recipient::RecipientRow;
use crate::render::{Composer, Place, RenderedMessage};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// RFC 5322 §2.1.1.
const LINE_MOST: usize = 998;
const LINE_GOOD: usize = 78;
/// Gmail shows no more of an HTML part than this.
const HTML_SHOWN_BYTES: usize = 102 * 1024;
const MESSAGE_MOST_BYTES: usize = 25 << 20;
const MESSAGE_GOOD_BYTES: usize = 500_000;
/// Mail programs show about half of it, and some cut it here.
const SUBJECT_GOOD_CHARS: usize = 150;
const GREETINGS: [&str; 6] = ["dear", "hello", "hi", "hey", "尊敬的", "您好"];
const NOTHINGS: [&str; 5] = ["none", "null", "undefined", "nan", ""];

/// Messages of a sample of rows. Each kind of finding is reported once, for the first message that has it.
pub struct Samples<'a> {
    composer: &'a Composer,
    /// How a header template names the column of the addresses.
    address: String,
    found: BTreeMap<&'static str, Finding>,
    rendered: u64,
    largest_bytes: usize,
    /// `List-Unsubscribe` of the first row. It must differ in the next one.
    unsubscribe: Option<String>,
}

impl<'a> Samples<'a> {
    pub fn new(composer: &'a Composer, email_column: &str) -> Samples<'a> {
        let in_file = Place {
            file: "campaign.toml: headers".into(),
            line: 1,
            column: 1,
        };
        Samples {
            composer,
            address: in_file.cell(email_column),
            found: BTreeMap::new(),
            rendered: 0,
            largest_bytes: 0,
            unsubscribe: None,
        }
    }

    pub fn check(&mut self, row: &RecipientRow) {
        let id = format!("check@{}", self.composer.message_id_domain());
        let made = self
            .composer
            .compose(row, &id)
            .and_then(|composed| Ok((composed, self.composer.render(row)?)));
        let (composed, clear) = match made {
            Ok(made) => made,
            Err(error) => return self.add(Finding::of_render(error)),
        };
        self.rendered += 1;
        self.largest_bytes = self.largest_bytes.max(composed.bytes.len());
        let place = format!("message for line {}", row.line);
        let findings = [
            bytes(&composed.bytes, composed.needs_smtputf8),
            text(&clear),
            unsubscribe(&clear, &self.address),
        ];
        for (id, what, hint) in findings.into_iter().flatten() {
            let what = format!("{place}: {what}");
            self.add(match id.starts_with('E') {
                true => Finding::error(id, what, hint),
                false => Finding::warning(id, what, hint),
            });
        }
        self.one_link_for_all(&place, &clear);
    }

    fn add(&mut self, finding: Finding) {
        self.found.entry(finding.id).or_insert(finding);
    }

    /// A link that is the same in two messages does not identify the recipient who unsubscribes (RFC 8058 §3.1).
    fn one_link_for_all(&mut self, place: &str, clear: &RenderedMessage) {
        let Some(link) = field(clear, "List-Unsubscribe").filter(|link| link.contains("https:"))
        else {
            return;
        };
        match &self.unsubscribe {
            None => self.unsubscribe = Some(link.to_string()),
            Some(first) if first == link => self.add(Finding::warning(
                "W12",
                format!("{place}: `List-Unsubscribe` is the same for two recipients"),
                "put a column into the link, so that it identifies the recipient",
            )),
            Some(_) => {}
        }
    }

    pub fn finish(self, report: &mut Report) {
        report.rendered = self.rendered;
        report.largest_bytes = self.largest_bytes;
        report.findings.extend(self.found.into_values());
    }
}

/// Id, what is wrong, and the hint.
type Problem = (&'static str, String, Cow<'static, str>);

fn field<'a>(clear: &'a RenderedMessage, name: &str) -> Option<&'a str> {
    let mut fields = clear.fields.iter();
    let found = fields.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Rules for every message, whoever composed it.
fn bytes(message: &[u8], needs_smtputf8: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut in_headers = true;
    for line in message.split(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        in_headers &= !bare.is_empty();
        if bare.contains(&b'\r') {
            problems.push(("E07", "a bare CR".to_string(), "fix the template".into()));
        }
        let length = bare.len();
        if length > LINE_MOST {
            let id = if in_headers { "E04" } else { "E06" };
            let what = format!("a line of {length} bytes (at most {LINE_MOST})");
            problems.push((id, what, "break the line in the template".into()));
        }
        if !in_headers {
            continue;
        }
        // These cannot be folded: a Message-ID and an address.
        let is_fixed = [&b"Message-ID:"[..], b"To:", b" <"];
        let is_fixed = is_fixed.iter().any(|start| bare.starts_with(start));
        if length > LINE_GOOD && length <= LINE_MOST && !is_fixed {
            let what = format!("a header line of {length} bytes (better at most {LINE_GOOD})");
            problems.push(("W05", what, "shorten the longest word of the header".into()));
        }
        if !needs_smtputf8 && !bare.is_ascii() {
            let what = "a header field is not ASCII".to_string();
            problems.push(("E08", what, "fix the header in the campaign file".into()));
        }
    }
    let size = message.len();
    let hint = "shorten the template, or link pictures instead of including them";
    if size > MESSAGE_MOST_BYTES {
        problems.push((
            "E22",
            format!("{size} bytes, which few relays accept"),
            hint.into(),
        ));
    } else if size > MESSAGE_GOOD_BYTES {
        problems.push(("W22", format!("{size} bytes, which is large"), hint.into()));
    }
    problems
}

fn text(clear: &RenderedMessage) -> Vec<Problem> {
    let mut problems = Vec::new();
    let subject = field(clear, "Subject").unwrap_or_default();
    let bodies = [&clear.text, &clear.html].into_iter().flatten();
    for part in std::iter::once(subject).chain(bodies.map(String::as_str)) {
        if part.contains("{{") || part.contains("{%") {
            let what = "it contains `{{` or `{%`".to_string();
            problems.push((
                "E20",
                what,
                "check for braces in quoted text or in cells".into(),
            ));
        }
        if let Some(greeting) = empty_greeting(part) {
            let what = format!("greets with `{greeting}`");
            problems.push((
                "W20",
                what,
                "give a default: `{{ name | default(\"there\", true) }}`".into(),
            ));
        }
    }
    if subject.trim().is_empty() {
        let what = "the subject is empty".to_string();
        problems.push(("W20", what, "write a subject in the campaign file".into()));
    }
    let length = subject.chars().count();
    if length > SUBJECT_GOOD_CHARS {
        let what =
            format!("a subject of {length} characters (better at most {SUBJECT_GOOD_CHARS})");
        problems.push((
            "W24",
            what,
            "shorten the subject, or its longest cell".into(),
        ));
    }
    problems.extend(empty(clear));
    if let Some(html) = &clear.html {
        let visible = visible_bytes(html);
        let plain = clear.text.as_ref().map(|text| text.trim().len());
        if visible > 0 && plain.is_none_or(|plain| plain * 10 < visible) {
            let what = "the text part is missing or much shorter than the HTML part".to_string();
            problems.push((
                "W18",
                what,
                "write a `text` template with the same content".into(),
            ));
        }
        if html.len() > HTML_SHOWN_BYTES {
            let what = format!(
                "HTML part of {} bytes; Gmail cuts it at {HTML_SHOWN_BYTES}",
                html.len()
            );
            problems.push(("W19", what, "shorten the HTML template".into()));
        }
    }
    problems
}

/// A message in which there is nothing to see.
fn empty(clear: &RenderedMessage) -> Option<Problem> {
    let has_text = clear
        .text
        .as_ref()
        .is_some_and(|text| !text.trim().is_empty());
    let what = match &clear.html {
        Some(html) if !is_blank(html) => return None,
        None if has_text => return None,
        Some(_) if has_text => "the HTML part is empty, and most mail programs show that part",
        _ => "the message is empty",
    };
    let hint = "write the template, or remove its key from the campaign file";
    Some(("E23", what.to_string(), hint.into()))
}

/// Whether an HTML part shows neither text nor a picture.
fn is_blank(html: &str) -> bool {
    let shows = ["<img", "<svg", "<video", "background", "<object", "<iframe"];
    let lower = html.to_ascii_lowercase();
    visible_bytes(html) == 0 && !shows.iter().any(|tag| lower.contains(tag))
}

/// Large receivers require one-click unsubscribing (RFC 8058, RFC 2369).
/// `address`: how a header template names the column of the addresses.
fn unsubscribe(clear: &RenderedMessage, address: &str) -> Vec<Problem> {
    let Some(links) = field(clear, "List-Unsubscribe") else {
        return vec![(
            "W10",
            "no `List-Unsubscribe` field; Gmail and Yahoo require it for bulk mail".to_string(),
            format!(
                "add under `[headers]`: `\"List-Unsubscribe\" = \"<https://example.com/u/{{{{ {address} | urlencode }}}}>, <mailto:leave@example.com>\"`"
            ).into(),
        )];
    };
    let mut problems = Vec::new();
    if !links.contains("<https://") {
        let what = "`List-Unsubscribe` has no `<https://…>`".to_string();
        problems.push((
            "W10",
            what,
            "add an `https://` link that accepts POST".into(),
        ));
    }
    if !links.contains("<mailto:") {
        let what = "`List-Unsubscribe` has no `<mailto:…>`".to_string();
        problems.push((
            "W13",
            what,
            "add an address for people without web access".into(),
        ));
    }
    let post = field(clear, "List-Unsubscribe-Post").unwrap_or_default();
    if post.trim() != "List-Unsubscribe=One-Click" {
        problems.push((
            "W11",
            "`List-Unsubscribe-Post` is not `List-Unsubscribe=One-Click`".into(),
            "add under `[headers]`: `\"List-Unsubscribe-Post\" = \"List-Unsubscribe=One-Click\"`"
                .into(),
        ));
    }
    problems
}

/// A greeting without a name, such as `Hello ,` or `Dear None`.
fn empty_greeting(text: &str) -> Option<String> {
    text.lines().map(str::trim).find_map(|line| {
        let line = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        let lower = line.to_lowercase();
        let greeting = GREETINGS.iter().find(|word| lower.starts_with(*word))?;
        let rest = lower.strip_prefix(greeting)?;
        // `Hello,` is fine; in `Hello ,` the name is missing.
        let name = rest.strip_prefix(' ')?.trim_start();
        let end = name.find([',', '!', '，', '！'])?;
        let name = name.get(..end)?.trim();
        let shown: String = line.chars().take(40).collect();
        NOTHINGS.contains(&name).then_some(shown)
    })
}

/// The length of the text outside of tags. A run of white space counts as one byte.
fn visible_bytes(html: &str) -> usize {
    let mut outside = true;
    let mut count = 0;
    let mut after_space = true;
    for byte in html.bytes() {
        match byte {
            b'<' => outside = false,
            b'>' => outside = true,
            byte if outside => {
                let is_space = byte.is_ascii_whitespace();
                count += usize::from(!is_space || !after_space);
                after_space = is_space;
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(problems: &[Problem]) -> Vec<&'static str> {
        problems.iter().map(|(id, _, _)| *id).collect()
    }

    fn clear(fields: &[(&str, &str)], text: Option<&str>, html: Option<&str>) -> RenderedMessage {
        RenderedMessage {
            fields: fields
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            text: text.map(str::to_string),
            html: html.map(str::to_string),
        }
    }

    #[test]
    fn checks_bytes_against_rfc_5322() {
        let long = |count: usize| "a".repeat(count);
        for (message, wanted) in [
            ("Subject: x\r\n\r\nhello\r\n".to_string(), vec![]),
            (format!("Subject: {}\r\n\r\n", long(100)), vec!["W05"]),
            (format!("X: {}\r\n\r\n", long(1000)), vec!["E04"]),
            (format!("X: y\r\n\r\n{}\r\n", long(999)), vec!["E06"]),
            ("X: é\r\n\r\né\r\n".to_string(), vec!["E08"]),
            ("X: y\r\n\r\na\rb\r\n".to_string(), vec!["E07"]),
            (
                format!("X: y\r\n\r\n{}", "a\r\n".repeat(200_000)),
                vec!["W22"],
            ),
        ] {
            assert_eq!(ids(&bytes(message.as_bytes(), false)), wanted);
        }
    }

    #[test]
    fn finds_common_mistakes_in_text() {
        let big = format!("<p>{}</p>", "hello ".repeat(20_000));
        for (subject, plain, html, wanted) in [
            (
                "Hi",
                Some("Hello Anna,\n"),
                Some("<p>Hello Anna,</p>"),
                vec![],
            ),
            ("Hi {{ name }}", Some("x"), None, vec!["E20"]),
            ("", Some("x"), None, vec!["W20"]),
            ("Hi", Some("Hello ,\n"), None, vec!["W20"]),
            ("Hi", Some("Dear None,\n"), None, vec!["W20"]),
            ("Hi", Some("Hello,\nnone of us\n"), None, vec![]),
            ("Hi", None, Some("<p>hello</p>"), vec!["W18"]),
            ("Hi", Some("x"), Some(" \n"), vec!["E23"]),
            (
                "Hi",
                Some("x"),
                Some("<html><body>\n</body></html>"),
                vec!["E23"],
            ),
            ("Hi", Some("x"), Some("<img src=\"a\">"), vec![]),
            ("Hi", None, Some(""), vec!["E23"]),
            ("Hi", Some("\n"), None, vec!["E23"]),
            ("Hi", Some(""), Some(""), vec!["E23"]),
            ("Hi", Some(""), Some("<p>hello</p>"), vec!["W18"]),
            (big.get(..1_500).unwrap(), Some("x"), None, vec!["W24"]),
            ("Hi", Some(big.as_str()), Some(big.as_str()), vec!["W19"]),
        ] {
            let clear = clear(&[("Subject", subject)], plain, html);
            assert_eq!(ids(&text(&clear)), wanted, "{subject} {plain:?}");
        }
    }

    #[test]
    fn requires_one_click_unsubscribing() {
        let post = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
        for (fields, wanted) in [
            (vec![], vec!["W10"]),
            (
                vec![("List-Unsubscribe", "<mailto:a@b.c>")],
                vec!["W10", "W11"],
            ),
            (
                vec![("list-unsubscribe", "<https://a/1>"), post],
                vec!["W13"],
            ),
            (
                vec![("List-Unsubscribe", "<https://a/1>, <mailto:a@b.c>"), post],
                vec![],
            ),
        ] {
            assert_eq!(
                ids(&unsubscribe(&clear(&fields, None, None), "email")),
                wanted
            );
        }
    }
}
