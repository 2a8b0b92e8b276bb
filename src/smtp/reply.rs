//! Parses replies out of a stream of bytes (RFC 5321 §4.2, RFC 3463). Pure. Accepts any bytes and keeps a bounded
//! number of them.

use super::redaction::Redaction;
use crate::domain::outcome::{EnhancedCode, Reply};
use crate::domain::shown::with_spaces;
use std::borrow::Cow;

/// Longest reply. No mail server needs as much.
const MAX_REPLY_BYTES: usize = 64 * 1024;
const MAX_REPLY_LINES: usize = 1_000;
/// An error quotes this much of an invalid line.
const EXCERPT_CHARACTERS: usize = 120;

/// The bytes are not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("not an SMTP reply: `{excerpt}`")]
    Invalid { excerpt: String },
    #[error("the lines of one reply carry different codes: {first}, then `{excerpt}`")]
    CodeChanged { first: u16, excerpt: String },
    #[error("a reply of more than {MAX_REPLY_BYTES} bytes or {MAX_REPLY_LINES} lines")]
    TooLong,
}

/// A complete reply. Keeps the lines apart, because each line of the reply to EHLO is an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    /// The texts after the codes, joined with LF.
    lines: String,
}

impl ServerReply {
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.split('\n')
    }

    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 4xx or 5xx.
    pub fn is_negative(&self) -> bool {
        self.code >= 400
    }

    /// The reply as one text, lines joined with a space.
    pub fn into_reply(self) -> Reply {
        let text = if self.lines.contains('\n') {
            let lines: Vec<&str> = self.lines().filter(|line| !line.is_empty()).collect();
            lines.join(" ")
        } else {
            self.lines
        };
        Reply {
            code: self.code,
            enhanced: self.enhanced,
            text,
        }
    }
}

/// Parses one reply after the other. The bytes may be cut anywhere.
#[derive(Default)]
pub struct ReplyParser {
    /// What no reply may show.
    pub hidden: Redaction,
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    reply: Option<ServerReply>,
    line_count: usize,
    byte_count: usize,
}

impl ReplyParser {
    /// Uses bytes up to the end of the first complete reply. Returns how many were used, and the reply if it is
    /// complete. An error drops what was parsed of the reply.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<ServerReply>), ReplyError> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.keep_partial(rest)?;
                return Ok((input.len(), None));
            };
            taken += end + 1;
            let (line, _) = rest.split_at(end);
            let outcome = self.parse_line(line);
            if outcome.is_err() {
                self.start_anew();
            }
            if let Some(reply) = outcome? {
                self.start_anew();
                return Ok((taken, Some(self.shown(reply))));
            }
        }
        Ok((taken, None))
    }

    /// Drops what was parsed of a reply.
    pub fn start_anew(&mut self) {
        *self = ReplyParser {
            hidden: std::mem::take(&mut self.hidden),
            ..ReplyParser::default()
        };
    }

    fn shown(&self, reply: ServerReply) -> ServerReply {
        let lines = match self.hidden.of(&reply.lines) {
            Cow::Owned(lines) => lines,
            Cow::Borrowed(_) => return reply,
        };
        ServerReply { lines, ..reply }
    }

    fn keep_partial(&mut self, rest: &[u8]) -> Result<(), ReplyError> {
        if self.byte_count + self.partial.len() + rest.len() + 1 > MAX_REPLY_BYTES {
            self.start_anew();
            return Err(ReplyError::TooLong);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// `rest`: the line, or what was missing of it, without LF.
    fn parse_line(&mut self, rest: &[u8]) -> Result<Option<ServerReply>, ReplyError> {
        let mut joined = std::mem::take(&mut self.partial);
        let line = if joined.is_empty() {
            rest
        } else {
            joined.extend_from_slice(rest);
            joined.as_slice()
        };
        self.byte_count += line.len() + 1;
        self.line_count += 1;
        if self.byte_count > MAX_REPLY_BYTES || self.line_count > MAX_REPLY_LINES {
            return Err(ReplyError::TooLong);
        }
        let (code, is_last, text) = split_line(line).map_err(|_| ReplyError::Invalid {
            excerpt: excerpt(line, &self.hidden),
        })?;
        match &mut self.reply {
            None => {
                let lines = printable(text);
                let enhanced = enhanced_code(&lines);
                self.reply = Some(ServerReply {
                    code,
                    enhanced,
                    lines,
                });
            }
            Some(reply) if reply.code != code => {
                return Err(ReplyError::CodeChanged {
                    first: reply.code,
                    excerpt: excerpt(line, &self.hidden),
                });
            }
            Some(reply) => add_line(reply, &printable(text)),
        }
        Ok(if is_last { self.reply.take() } else { None })
    }
}

/// Adds a line to a reply. Servers repeat the enhanced code on every line (RFC 2034 §4); one is enough.
fn add_line(reply: &mut ServerReply, text: &str) {
    let found = enhanced_code(text);
    let text = match found {
        Some(code) if reply.enhanced == Some(code) => {
            text.split_once(' ').map_or("", |(_, rest)| rest)
        }
        _ => text,
    };
    reply.enhanced = reply.enhanced.or(found);
    reply.lines.push('\n');
    reply.lines.push_str(text);
}

/// Parses a reply from a file or the command line, where lines may lack their codes. Code 0 if the text is not a reply.
pub fn parse_reply(bytes: &[u8]) -> Reply {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let Ok((code, _, text)) = split_line(first) else {
        return Reply {
            code: 0,
            enhanced: None,
            text: printable(bytes),
        };
    };
    let mut text = printable(text);
    for line in lines {
        let more = match split_line(line) {
            Ok((_, _, more)) => printable(more),
            Err(_) => printable(line),
        };
        if !more.is_empty() {
            text.push(' ');
            text.push_str(&more);
        }
    }
    let enhanced = enhanced_code(&text);
    Reply {
        code,
        enhanced,
        text,
    }
}

/// The line does not begin with a code.
struct NotALine;

/// Splits a line into code, whether it is the last line, and text. A code alone is a last line (RFC 5321 §4.2).
fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), NotALine> {
    // Some servers end lines with CR CR LF.
    let last = line.iter().rposition(|byte| *byte != b'\r');
    let (line, _) = line.split_at(last.map_or(0, |last| last + 1));
    let (digits, rest) = line.split_at_checked(3).ok_or(NotALine)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(NotALine);
    }
    let code = digits
        .iter()
        .fold(0_u16, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..600).contains(&code) {
        return Err(NotALine);
    }
    match rest.split_first() {
        None => Ok((code, true, rest)),
        Some((b' ' | b'\t', text)) => Ok((code, true, text)),
        Some((b'-', text)) => Ok((code, false, text)),
        Some(_) => Err(NotALine),
    }
}

/// Text that is safe to print: invalid UTF-8 replaced, hidden characters as spaces.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    with_spaces(&text).trim().to_string()
}

/// The beginning of a line. What is hidden goes first, because a part of it would not be recognised.
fn excerpt(line: &[u8], hidden: &Redaction) -> String {
    let text = printable(line);
    let shown = hidden.of(&text);
    shown.chars().take(EXCERPT_CHARACTERS).collect()
}

/// The enhanced status code that a text begins with. Its class is 2, 4 or 5 (RFC 3463 §2).
pub fn enhanced_code(text: &str) -> Option<EnhancedCode> {
    let word = text.split(' ').next()?;
    let mut parts = word.split('.');
    let class = match parts.next()? {
        "2" => 2,
        "4" => 4,
        "5" => 5,
        _ => return None,
    };
    let subject = number(parts.next()?)?;
    let detail = number(parts.next()?)?;
    parts
        .next()
        .is_none()
        .then_some(EnhancedCode(class, subject, detail))
}

fn number(digits: &str) -> Option<u16> {
    let plausible = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plausible { digits.parse().ok() } else { None }
}

/// A reply in the server's place, where asking it would be useless or unsafe.
pub fn local_reply(code: u16, enhanced: EnhancedCode, text: &str) -> Reply {
    Reply {
        code,
        enhanced: Some(enhanced),
        text: format!("{enhanced} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<ServerReply>, ReplyError> {
        read_in_pieces(bytes, bytes.len().max(1))
    }

    fn read_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<ServerReply>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut replies = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (taken, reply) = parser.push(piece)?;
                assert!(taken > 0, "no progress");
                replies.extend(reply);
                piece = &piece[taken..];
            }
        }
        Ok(replies)
    }

    fn one(bytes: &[u8]) -> Reply {
        let mut replies = read(bytes).unwrap();
        assert_eq!(replies.len(), 1);
        replies.remove(0).into_reply()
    }

    #[test]
    fn parses_replies_of_servers() {
        let code = |class, subject, detail| Some(EnhancedCode(class, subject, detail));
        let table: &[(&[u8], u16, Option<EnhancedCode>, &str)] = &[
            (b"250\r\n", 250, None, ""),
            (b"250 \r\n", 250, None, ""),
            (b"250 OK\n", 250, None, "OK"),
            (b"571 5.7.1 no\r\n", 571, code(5, 7, 1), "5.7.1 no"),
            (b"585 gone\r\r\n", 585, None, "gone"),
            (
                b"550-5.1.1 no such\r\n550-5.1.1\r\n550 5.1.1 user\r\n",
                550,
                code(5, 1, 1),
                "5.1.1 no such user",
            ),
            (
                b"550-see\r\n550 5.7.26 here\r\n",
                550,
                code(5, 7, 26),
                "see 5.7.26 here",
            ),
            (b"550 r\xe9fus\xe9\r\n", 550, None, "r\u{fffd}fus\u{fffd}"),
            (b"550 9.9.9 x\r\n", 550, None, "9.9.9 x"),
            (b"550 5.1.1: x\r\n", 550, None, "5.1.1: x"),
            (b"550 5.1.1111 x\r\n", 550, None, "5.1.1111 x"),
            (b"550 \x1b[31mred\x07\r\n", 550, None, "[31mred"),
            (b"550 a\xe2\x80\xaeb\r\n", 550, None, "a b"),
        ];
        for (bytes, code, enhanced, text) in table {
            let reply = one(bytes);
            assert_eq!(
                (reply.code, reply.enhanced, reply.text.as_str()),
                (*code, *enhanced, *text)
            );
        }
    }

    #[test]
    fn parses_replies_from_files() {
        for (line, code, enhanced, text) in [
            ("550 5.1.1 no", 550, Some(EnhancedCode(5, 1, 1)), "5.1.1 no"),
            ("550-see\r\n550 here\n", 550, None, "see here"),
            ("451\r", 451, None, ""),
            ("hello\tyou", 0, None, "hello you"),
            ("", 0, None, ""),
        ] {
            let reply = parse_reply(line.as_bytes());
            let found = (reply.code, reply.enhanced, reply.text.as_str());
            assert_eq!(found, (code, enhanced, text), "{line:?}");
        }
    }

    #[test]
    fn keeps_the_lines_of_a_reply_apart() {
        let replies = read(b"250-mx\r\n250-SIZE 10\r\n250 PIPELINING\r\n").unwrap();
        let lines: Vec<&str> = replies[0].lines().collect();
        assert_eq!(lines, ["mx", "SIZE 10", "PIPELINING"]);
    }

    #[test]
    fn an_invalid_line_is_an_error_with_an_excerpt() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"199 low\r\n",
            b"600 high\r\n",
            b"2500\r\n",
            b"25\r\n",
            b"\r\n",
        ] {
            assert!(matches!(read(bytes), Err(ReplyError::Invalid { .. })));
        }
        assert_eq!(
            read(b"SSH-2.0-x\x00\r\n"),
            Err(ReplyError::Invalid {
                excerpt: "SSH-2.0-x".into()
            })
        );
        assert!(matches!(
            read(b"250-a\r\n550 b\r\n"),
            Err(ReplyError::CodeChanged { first: 250, .. })
        ));
    }

    #[test]
    fn refuses_a_reply_that_is_too_long() {
        assert_eq!(read(&vec![b'2'; 70_000]), Err(ReplyError::TooLong));
        let endless = b"250-x\r\n".repeat(MAX_REPLY_LINES + 1);
        assert_eq!(read(&endless), Err(ReplyError::TooLong));
    }

    proptest! {
        #[test]
        fn parses_any_bytes_the_same_wherever_they_are_cut(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..400),
                "([2-5][0-9]{2}[ -]([245]\\.[0-9]\\.[0-9]{1,3} )?[a-z\u{e9} ]{0,20}\r?\n){0,8}"
                    .prop_map(String::into_bytes),
            ],
            piece in 1_usize..40,
        ) {
            prop_assert_eq!(read(&bytes), read_in_pieces(&bytes, piece));
        }
    }
}
