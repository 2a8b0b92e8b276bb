//! Header fields: the names that a campaign may use, and values as folded lines of ASCII (RFC 5322 §2.2.3, RFC 2047).

use super::encoded_word;
use super::error::{HeaderNameProblem, RenderProblem};

/// Recommended and absolute limit of a line, CRLF not counted (RFC 5322 §2.1.1).
pub const FOLD_AT: usize = 78;
const MAX_LINE: usize = 998;
/// Large receivers reject longer fields.
const MAX_VALUE_BYTES: usize = 32 * 1024;
/// Longest name of a field. With it and a short value a line stays below 78.
const MAX_NAME_BYTES: usize = 70;

/// Fields that mailq or the relay writes.
const RESERVED: [&str; 13] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "return-path",
    "received",
    "dkim-signature",
];
/// Fields whose syntax has no encoded words.
const STRUCTURED: [&str; 6] = [
    "in-reply-to",
    "references",
    "auto-submitted",
    "precedence",
    "feedback-id",
    "require-recipient-valid-since",
];

/// Checks a name that a campaign gives to a field (RFC 5322 §2.2).
pub fn check_name(name: &str) -> Result<(), HeaderNameProblem> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_visible) {
        return Err(HeaderNameProblem::Syntax);
    }
    let lower = name.to_ascii_lowercase();
    let starts = |prefix: &str| lower.starts_with(prefix);
    if RESERVED.contains(&lower.as_str()) || starts("content-") || starts("resent-") {
        return Err(HeaderNameProblem::Reserved);
    }
    Ok(())
}

/// Appends `Name: value` and CRLF. Refuses control characters, so a value can begin neither another field nor the body.
pub fn write(name: &str, value: &str, out: &mut Vec<u8>) -> Result<(), RenderProblem> {
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(RenderProblem::Control);
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(RenderProblem::LongHeader {
            bytes: value.len(),
            limit: MAX_VALUE_BYTES,
        });
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let column = name.len() + 2;
    if is_structured(name) {
        write_structured(value, column, out)?;
    } else if is_plain(value, column) {
        write_folded(value, column, out);
    } else {
        encoded_word::write(value, column, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn is_structured(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("list-") || STRUCTURED.contains(&lower.as_str())
}

fn write_structured(value: &str, column: usize, out: &mut Vec<u8>) -> Result<(), RenderProblem> {
    let value = value.trim();
    if !value.is_ascii() {
        return Err(RenderProblem::NotAscii);
    }
    let longest = value.split(' ').map(str::len).max().unwrap_or(0);
    if column + longest > MAX_LINE {
        return Err(RenderProblem::LongWord { bytes: longest });
    }
    write_folded(value, column, out);
    Ok(())
}

/// Whether the value can be written without encoding: unfolding gives it back, however a mail program treats white
/// space, and no part looks like an encoded word.
fn is_plain(value: &str, column: usize) -> bool {
    value.is_ascii()
        && !value.contains("=?")
        && !value.contains("  ")
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && value.split(' ').all(|word| column + word.len() <= MAX_LINE)
}

/// Breaks lines before spaces.
fn write_folded(value: &str, column: usize, out: &mut Vec<u8>) {
    if column + value.len() <= FOLD_AT {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let mut column = column;
    for (index, word) in value.split(' ').enumerate() {
        if index > 0 {
            // An empty word would become a line of white space only (RFC 5322 §3.2.2).
            if column + 1 + word.len() > FOLD_AT && !word.is_empty() {
                out.extend_from_slice(b"\r\n");
                column = 0;
            }
            out.push(b' ');
            column += 1;
        }
        out.extend_from_slice(word.as_bytes());
        column += word.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str, value: &str) -> Result<String, RenderProblem> {
        let mut out = Vec::new();
        write(name, value, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn writes_plain_encoded_and_folded_values() {
        let long = "word ".repeat(20);
        for (value, wanted) in [
            ("Hello", "Subject: Hello\r\n"),
            ("Grüße", "Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"),
            (
                "Müller writes",
                "Subject: =?utf-8?q?M=C3=BCller_writes?=\r\n",
            ),
            (
                "春の大売り出し",
                "Subject: =?utf-8?b?5pil44Gu5aSn5aOy44KK5Ye644GX?=\r\n",
            ),
            ("=?x", "Subject: =?utf-8?b?PT94?=\r\n"),
            (
                long.trim(),
                "Subject: word word word word word word word word word word word word word word\r\n word word word word word word\r\n",
            ),
        ] {
            assert_eq!(field("Subject", value).unwrap(), wanted);
        }
    }

    #[test]
    fn refuses_reserved_names_and_control_characters() {
        for (name, wanted) in [
            ("Bcc", Err(HeaderNameProblem::Reserved)),
            ("DATE", Err(HeaderNameProblem::Reserved)),
            ("Content-Type", Err(HeaderNameProblem::Reserved)),
            ("X A", Err(HeaderNameProblem::Syntax)),
            ("X:A", Err(HeaderNameProblem::Syntax)),
            ("X-Ä", Err(HeaderNameProblem::Syntax)),
            ("", Err(HeaderNameProblem::Syntax)),
            ("X-Campaign", Ok(())),
            ("List-Unsubscribe", Ok(())),
        ] {
            assert_eq!(check_name(name), wanted, "{name}");
        }
        for value in ["a\r\nBcc: b", "a\nb", "a\0", "a\tb", "a\u{7f}"] {
            assert_eq!(field("Subject", value), Err(RenderProblem::Control));
        }
        let list = field("List-Unsubscribe", "<https://x.example/ü>");
        assert_eq!(list, Err(RenderProblem::NotAscii));
        let list = field("List-Unsubscribe", &"x".repeat(990));
        assert_eq!(list, Err(RenderProblem::LongWord { bytes: 990 }));
        let huge = field("Subject", &"x".repeat(33_000));
        assert!(matches!(huge, Err(RenderProblem::LongHeader { .. })));
    }

    proptest! {
        #[test]
        fn an_independent_parser_reads_any_value_back(value in "([ -~]|[é春𝄞 ]|=\\?utf-8\\?q\\?a\\?=){0,120}", name in "X-[A-Za-z]{1,60}|Subject") {
            let field = field(&name, &value).unwrap();
            prop_assert!(field.is_ascii());
            for line in field.trim_end_matches("\r\n").split("\r\n") {
                prop_assert!(line.len() <= MAX_LINE && !line.contains(['\r', '\n']));
                prop_assert!(line.len() <= encoded_word::MAX_LINE || !line.contains("=?utf-8?"), "{line}");
            }
            let folded = field.matches("\r\n").count();
            prop_assert_eq!(field.matches("\r\n ").count(), folded - 1);
            let message = format!("{field}\r\n");
            let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
            prop_assert_eq!(parsed.headers().len(), 1);
            let found = parsed.header_as(name.as_str(), mail_parser::HeaderForm::Text);
            let found = found.first().and_then(|value| value.as_text()).unwrap_or_default();
            prop_assert_eq!(found, value);
        }
    }
}
