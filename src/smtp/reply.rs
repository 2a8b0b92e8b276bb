//! Reads server answers out of a stream of bytes (RFC 5321 §4.2, RFC 3463), whatever the bytes are.
//! Pure: bytes in, answers or typed errors out; what it keeps is bounded.

use crate::domain::outcome::{EnhancedCode, Reply};

/// More than any honest reply, EHLO included; beyond it the other side is no mail server.
const MOST_BYTES: usize = 64 * 1024;
const MOST_LINES: usize = 1_000;
/// How much of a junk line an error quotes.
const EXCERPT_BYTES: usize = 120;

/// What came was no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("not an SMTP reply: `{excerpt}`")]
    Junk { excerpt: String },
    #[error("the lines of one reply carry different codes: {first}, then `{excerpt}`")]
    CodeChanged { first: u16, excerpt: String },
    #[error("a reply of more than {MOST_BYTES} bytes or {MOST_LINES} lines")]
    TooLong,
}

/// A complete reply with its lines still apart, as EHLO needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    /// Texts after the codes, joined with LF.
    lines: String,
}

impl Answer {
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

    /// The reply as the rest of the product knows it: one text, lines joined with a space.
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

/// Collects the bytes of one reply after the other. Where the stream is cut makes no difference.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// The line under way.
    partial: Vec<u8>,
    reply: Option<Answer>,
    line_count: usize,
    byte_count: usize,
}

impl ReplyParser {
    /// Takes bytes up to the end of the first complete reply. Returns how many were taken, and the reply if it is
    /// complete. Errors leave the parser empty, in the middle of the stream.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Answer>), ReplyError> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.keep(rest)?;
                return Ok((input.len(), None));
            };
            taken += end + 1;
            let outcome = self.line(rest.get(..end).unwrap_or_default());
            if outcome.is_err() {
                *self = ReplyParser::default();
            }
            if let Some(answer) = outcome? {
                *self = ReplyParser::default();
                return Ok((taken, Some(answer)));
            }
        }
        Ok((taken, None))
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), ReplyError> {
        if self.byte_count + self.partial.len() + rest.len() + 1 > MOST_BYTES {
            *self = ReplyParser::default();
            return Err(ReplyError::TooLong);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// One line without its LF.
    fn line(&mut self, rest: &[u8]) -> Result<Option<Answer>, ReplyError> {
        let mut joined = std::mem::take(&mut self.partial);
        let line = if joined.is_empty() {
            rest
        } else {
            joined.extend_from_slice(rest);
            joined.as_slice()
        };
        self.byte_count += line.len() + 1;
        self.line_count += 1;
        if self.byte_count > MOST_BYTES || self.line_count > MOST_LINES {
            return Err(ReplyError::TooLong);
        }
        let (code, last, text) = split(line)?;
        match &mut self.reply {
            None => {
                let lines = printable(text);
                let enhanced = enhanced_code(&lines);
                self.reply = Some(Answer {
                    code,
                    enhanced,
                    lines,
                });
            }
            Some(reply) if reply.code != code => {
                return Err(ReplyError::CodeChanged {
                    first: reply.code,
                    excerpt: excerpt(line),
                });
            }
            Some(reply) => continue_reply(reply, &printable(text)),
        }
        Ok(if last { self.reply.take() } else { None })
    }
}

/// Adds a line; an enhanced code that the reply has already is not repeated (RFC 2034 §4 puts it on every line).
fn continue_reply(reply: &mut Answer, text: &str) {
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

/// A reply that stands in a file or on a command line, its lines' codes left out; code 0 where it is none.
pub fn reply_of(bytes: &[u8]) -> Reply {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let Ok((code, _, text)) = split(first) else {
        return Reply {
            code: 0,
            enhanced: None,
            text: printable(bytes),
        };
    };
    let mut text = printable(text);
    for line in lines {
        let more = match split(line) {
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

/// Code, whether the line is the last, and the text. A bare code is a last line (RFC 5321 §4.2 asks for that).
fn split(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let mut line_end = line.len();
    while line_end > 0 && line.get(line_end - 1) == Some(&b'\r') {
        line_end -= 1;
    }
    let line = line.get(..line_end).unwrap_or_default();
    let junk = || ReplyError::Junk {
        excerpt: excerpt(line),
    };
    let (digits, rest) = line.split_at_checked(3).ok_or_else(junk)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(junk());
    }
    let code = digits
        .iter()
        .fold(0_u16, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..600).contains(&code) {
        return Err(junk());
    }
    match rest.split_first() {
        None => Ok((code, true, rest)),
        Some((b' ' | b'\t', text)) => Ok((code, true, text)),
        Some((b'-', text)) => Ok((code, false, text)),
        Some(_) => Err(junk()),
    }
}

/// Bytes as text that a terminal can show: invalid UTF-8 replaced, control characters as spaces.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().any(char::is_control) {
        let shown: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        return shown.trim().to_string();
    }
    text.trim().to_string()
}

fn excerpt(line: &[u8]) -> String {
    printable(line.get(..EXCERPT_BYTES).unwrap_or(line))
}

/// The enhanced code at the start of a text, if it is a plausible one: class 2, 4 or 5 (RFC 3463 §2).
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

/// A reply that we give ourselves where asking the server would be useless or unsafe.
pub fn own_reply(code: u16, enhanced: EnhancedCode, text: &str) -> Reply {
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

    fn read(bytes: &[u8]) -> Result<Vec<Answer>, ReplyError> {
        read_in_pieces(bytes, bytes.len().max(1))
    }

    fn read_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Answer>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut answers = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (taken, answer) = parser.push(piece)?;
                assert!(taken > 0, "no progress");
                answers.extend(answer);
                piece = &piece[taken..];
            }
        }
        Ok(answers)
    }

    fn one(bytes: &[u8]) -> Reply {
        let mut answers = read(bytes).unwrap();
        assert_eq!(answers.len(), 1);
        answers.remove(0).into_reply()
    }

    #[test]
    fn reads_what_servers_say() {
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
    fn replies_in_files_are_read_as_those_on_the_wire() {
        for (line, code, enhanced, text) in [
            ("550 5.1.1 no", 550, Some(EnhancedCode(5, 1, 1)), "5.1.1 no"),
            ("550-see\r\n550 here\n", 550, None, "see here"),
            ("451\r", 451, None, ""),
            ("hello\tyou", 0, None, "hello you"),
            ("", 0, None, ""),
        ] {
            let reply = reply_of(line.as_bytes());
            let found = (reply.code, reply.enhanced, reply.text.as_str());
            assert_eq!(found, (code, enhanced, text), "{line:?}");
        }
    }

    #[test]
    fn keeps_lines_apart_for_ehlo() {
        let answers = read(b"250-mx\r\n250-SIZE 10\r\n250 PIPELINING\r\n").unwrap();
        let lines: Vec<&str> = answers[0].lines().collect();
        assert_eq!(lines, ["mx", "SIZE 10", "PIPELINING"]);
    }

    #[test]
    fn junk_is_an_error_with_an_excerpt() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"199 low\r\n",
            b"600 high\r\n",
            b"2500\r\n",
            b"25\r\n",
            b"\r\n",
        ] {
            assert!(matches!(read(bytes), Err(ReplyError::Junk { .. })));
        }
        assert_eq!(
            read(b"SSH-2.0-x\x00\r\n"),
            Err(ReplyError::Junk {
                excerpt: "SSH-2.0-x".into()
            })
        );
        assert!(matches!(
            read(b"250-a\r\n550 b\r\n"),
            Err(ReplyError::CodeChanged { first: 250, .. })
        ));
    }

    #[test]
    fn length_and_line_count_are_bounded() {
        assert_eq!(read(&vec![b'2'; 70_000]), Err(ReplyError::TooLong));
        let endless = b"250-x\r\n".repeat(MOST_LINES + 1);
        assert_eq!(read(&endless), Err(ReplyError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_read_the_same(
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
