//! One header field: which names a campaign may use, and a value as folded lines of ASCII (RFC 5322 §2.2.3, RFC 2047).

use super::error::{HeaderNameProblem, RenderProblem};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Lines end before this column where there is a place to fold (RFC 5322 §2.1.1).
const LINE: usize = 78;
/// No line is longer than this (RFC 5322 §2.1.1).
const LINE_LIMIT: usize = 998;
/// What large receivers take of one field.
const MAX_VALUE_BYTES: usize = 32 * 1024;
/// RFC 2047 §2: an encoded word, and a line that holds one.
const WORD: usize = 75;
const WORD_LINE: usize = 76;
/// `=?utf-8?q?` and `?=`.
const WORD_FRAME: usize = 12;

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
/// Fields whose syntax knows no encoded words.
const STRUCTURED: [&str; 6] = [
    "in-reply-to",
    "references",
    "auto-submitted",
    "precedence",
    "feedback-id",
    "require-recipient-valid-since",
];

/// Whether a campaign may give a field of this name.
pub fn check_name(name: &str) -> Result<(), HeaderNameProblem> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if name.is_empty() || name.len() > 70 || !name.bytes().all(is_visible) {
        return Err(HeaderNameProblem::Syntax);
    }
    let lower = name.to_ascii_lowercase();
    let starts = |prefix: &str| lower.starts_with(prefix);
    if RESERVED.contains(&lower.as_str()) || starts("content-") || starts("resent-") {
        return Err(HeaderNameProblem::Reserved);
    }
    Ok(())
}

/// Appends `Name: value` and CRLF. The value is one line of text; any control character is refused, so nothing in it
/// can begin another field or the body.
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
    let start = name.len() + 2;
    if is_structured(name) {
        write_structured(value, start, out)?;
    } else if is_plain(value, start) {
        write_folded(value, start, out);
    } else {
        write_words(value, start, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn is_structured(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("list-") || STRUCTURED.contains(&lower.as_str())
}

fn write_structured(value: &str, start: usize, out: &mut Vec<u8>) -> Result<(), RenderProblem> {
    let value = value.trim();
    if !value.is_ascii() {
        return Err(RenderProblem::NotAscii);
    }
    let longest = value.split(' ').map(str::len).max().unwrap_or(0);
    if start + longest > LINE_LIMIT {
        return Err(RenderProblem::LongWord { bytes: longest });
    }
    write_folded(value, start, out);
    Ok(())
}

/// It reads the same after unfolding, whatever the reader does about white space, and cannot be taken for an encoded word.
fn is_plain(value: &str, start: usize) -> bool {
    value.is_ascii()
        && !value.contains("=?")
        && !value.contains("  ")
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && value
            .split(' ')
            .all(|word| start + word.len() <= LINE_LIMIT)
}

/// Breaks before a space where the line would grow too long.
fn write_folded(value: &str, start: usize, out: &mut Vec<u8>) {
    if start + value.len() <= LINE {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let mut column = start;
    for (index, word) in value.split(' ').enumerate() {
        if index > 0 {
            // An empty word must not become a line of nothing but white space (RFC 5322 §3.2.2).
            if column + 1 + word.len() > LINE && !word.is_empty() {
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

/// The whole value as encoded words, none of which splits a character (RFC 2047 §5).
fn write_words(value: &str, start: usize, out: &mut Vec<u8>) {
    let in_q: usize = value.chars().map(q_length).sum();
    let in_b = value.len().div_ceil(3) * 4;
    let is_q = in_q <= in_b;
    let first = WORD_LINE.saturating_sub(start + WORD_FRAME);
    let mut room = match first {
        0..=11 => {
            out.extend_from_slice(b"\r\n ");
            WORD - WORD_FRAME
        }
        first => first,
    };
    let mut rest = value;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(fitting(rest, room, is_q));
        match is_q {
            true => write_q(piece, out),
            false => write_b(piece, out),
        }
        rest = later;
        if !rest.is_empty() {
            out.extend_from_slice(b"\r\n ");
        }
        room = WORD - WORD_FRAME;
    }
}

/// How many bytes of whole characters fit into an encoded word with this much room; at least one character.
fn fitting(text: &str, room: usize, is_q: bool) -> usize {
    let mut length = 0;
    let mut used = 0;
    for c in text.chars() {
        let next = length + c.len_utf8();
        used += q_length(c);
        let needed = if is_q { used } else { next.div_ceil(3) * 4 };
        if needed > room && length > 0 {
            break;
        }
        length = next;
    }
    length
}

fn q_length(c: char) -> usize {
    match c {
        ' ' => 1,
        c if is_q_literal(c) => 1,
        c => c.len_utf8() * 3,
    }
}

/// Safe in a phrase too (RFC 2047 §5 (3)).
fn is_q_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '!' | '*' | '+' | '-' | '/')
}

fn write_q(piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"=?utf-8?q?");
    for c in piece.chars() {
        match c {
            ' ' => out.push(b'_'),
            c if is_q_literal(c) => out.push(c as u8),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.extend_from_slice(format!("={byte:02X}").as_bytes());
                }
            }
        }
    }
    out.extend_from_slice(b"?=");
}

fn write_b(piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"=?utf-8?b?");
    out.extend_from_slice(STANDARD.encode(piece).as_bytes());
    out.extend_from_slice(b"?=");
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
    fn values_are_written_as_they_should() {
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
    fn names_and_values_that_do_harm_are_refused() {
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
        fn any_value_comes_back_through_another_parser(value in "([ -~]|[é春𝄞 ]|=\\?utf-8\\?q\\?a\\?=){0,120}", name in "X-[A-Za-z]{1,60}|Subject") {
            let field = field(&name, &value).unwrap();
            prop_assert!(field.is_ascii());
            for line in field.trim_end_matches("\r\n").split("\r\n") {
                prop_assert!(line.len() <= LINE_LIMIT && !line.contains(['\r', '\n']));
                prop_assert!(line.len() <= WORD_LINE || !line.contains("=?utf-8?"), "{line}");
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
