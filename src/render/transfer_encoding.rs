//! Content transfer encodings: quoted-printable and base64 (RFC 2045 §6). Both give 7-bit text, so no relay converts a
//! message and breaks its signature. Line ends of any kind become CRLF here, in the one pass over every byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest line of both encodings, CRLF not counted (RFC 2045 §6.7, §6.8).
const MAX_LINE: usize = 76;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// Base64 if more than a third of the bytes are beyond ASCII: quoted-printable needs three bytes for each.
    pub fn of(text: &str) -> Encoding {
        let beyond_ascii = text.bytes().filter(|byte| !byte.is_ascii()).count();
        match beyond_ascii * 3 > text.len() {
            true => Encoding::Base64,
            false => Encoding::QuotedPrintable,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Base64 => "base64",
        }
    }

    /// Appends the encoded text. It ends with exactly one line end.
    pub fn write(self, text: &str, out: &mut Vec<u8>) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match self {
            Encoding::QuotedPrintable => QuotedPrintable { out, column: 0 }.write(text.as_bytes()),
            Encoding::Base64 => write_base64(text, out),
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_base64(text: &str, out: &mut Vec<u8>) {
    let mut lines = Vec::with_capacity(text.len() + text.len() / 32);
    let mut rest = text.as_bytes();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let (line, after) = rest.split_at(end);
        lines.extend_from_slice(line);
        lines.extend_from_slice(b"\r\n");
        rest = after_line_end(after);
    }
    lines.extend_from_slice(rest);
    let mut encoded = String::with_capacity(MAX_LINE);
    for (index, piece) in lines.chunks(MAX_LINE / 4 * 3).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        encoded.clear();
        STANDARD.encode_string(piece, &mut encoded);
        out.extend_from_slice(encoded.as_bytes());
    }
}

/// What follows the line end that `rest` begins with: CRLF, LF or CR.
fn after_line_end(rest: &[u8]) -> &[u8] {
    match rest {
        [b'\r', b'\n', after @ ..] => after,
        [_, after @ ..] => after,
        [] => rest,
    }
}

struct QuotedPrintable<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
}

impl QuotedPrintable<'_> {
    fn write(mut self, text: &[u8]) {
        self.out.reserve(text.len() + text.len() / 16);
        let mut rest = text;
        loop {
            let length = rest.iter().position(|byte| !is_literal(*byte));
            let (run, after) = rest.split_at(length.unwrap_or(rest.len()));
            match after {
                [] => {
                    self.line_end_run(run);
                    return;
                }
                [b'\r' | b'\n', ..] => {
                    self.line_end_run(run);
                    self.out.extend_from_slice(b"\r\n");
                    self.column = 0;
                    rest = after_line_end(after);
                }
                [byte, after @ ..] => {
                    self.run(run);
                    self.escape(*byte);
                    rest = after;
                }
            }
        }
    }

    /// Escapes white space at the end of a line, because relays may strip it (RFC 2045 §6.7 (3)).
    fn line_end_run(&mut self, run: &[u8]) {
        match run.split_last() {
            Some((space @ (b' ' | b'\t'), run)) => {
                self.run(run);
                self.escape(*space);
            }
            _ => self.run(run),
        }
    }

    fn run(&mut self, mut run: &[u8]) {
        while !run.is_empty() {
            if self.column == 0 {
                run = self.line_start(run);
            }
            // The last column is for the `=` of a soft line break.
            let room = (MAX_LINE - 1).saturating_sub(self.column);
            let (now, later) = run.split_at(room.min(run.len()));
            self.out.extend_from_slice(now);
            self.column += now.len();
            run = later;
            if !run.is_empty() {
                self.soft_break();
            }
        }
    }

    /// Escapes a dot and `From ` at the start of a line: SMTP doubles the dot (RFC 5321 §4.5.2), and some programs
    /// quote `From ` as `>From `.
    fn line_start<'b>(&mut self, run: &'b [u8]) -> &'b [u8] {
        match run {
            [b'.', rest @ ..] => {
                self.escape(b'.');
                rest
            }
            [b'F', rest @ ..] if rest.starts_with(b"rom ") => {
                self.escape(b'F');
                rest
            }
            run => run,
        }
    }

    fn escape(&mut self, byte: u8) {
        if self.column + 3 > MAX_LINE - 1 {
            self.soft_break();
        }
        let digits = [hex_digit(byte >> 4), hex_digit(byte & 15)];
        self.out.push(b'=');
        self.out.extend_from_slice(&digits);
        self.column += 3;
    }

    fn soft_break(&mut self) {
        self.out.extend_from_slice(b"=\r\n");
        self.column = 0;
    }
}

/// Upper case, as quoted-printable demands (RFC 2045 §6.7 (1)).
fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble - 10),
    }
}

fn is_literal(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t') && byte != b'='
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str, encoding: Encoding) -> String {
        let mut out = Vec::new();
        encoding.write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quoted_printable_escapes_what_relays_change() {
        for (text, wanted) in [
            ("", "\r\n"),
            ("a=b\n", "a=3Db\r\n"),
            ("ä\tb \nc\t", "=C3=A4\tb=20\r\nc=09\r\n"),
            (
                ".\r\n.b\rFrom x\nFromage",
                "=2E\r\n=2Eb\r\n=46rom x\r\nFromage\r\n",
            ),
            ("a\0\u{7f}", "a=00=7F\r\n"),
        ] {
            assert_eq!(encoded(text, Encoding::QuotedPrintable), wanted);
        }
        let long = encoded(&format!("{}.", "x".repeat(75)), Encoding::QuotedPrintable);
        assert_eq!(long, format!("{}=\r\n=2E\r\n", "x".repeat(75)));
    }

    #[test]
    fn chooses_the_encoding_by_the_text() {
        assert_eq!(Encoding::of("Grüße"), Encoding::Base64);
        assert_eq!(
            Encoding::of("Schöne Grüße aus Köln"),
            Encoding::QuotedPrintable
        );
        assert_eq!(Encoding::of("春の大売り出し"), Encoding::Base64);
        assert_eq!(Encoding::of(""), Encoding::QuotedPrintable);
    }

    proptest! {
        #[test]
        fn an_independent_parser_reads_both_encodings_back(text in "([ -~\t\r\né春.=]|From ){0,200}") {
            let plain = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
            let plain = format!("{}\r\n", plain.strip_suffix("\r\n").unwrap_or(&plain));
            for encoding in [Encoding::QuotedPrintable, Encoding::Base64] {
                let body = encoded(&text, encoding);
                prop_assert!(body.is_ascii() && body.ends_with("\r\n"));
                prop_assert!(!body.replace("\r\n", "").contains(['\r', '\n']));
                prop_assert!(body.split("\r\n").all(|line| line.len() <= 76 && !line.starts_with('.')));
                let message = format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n\r\n{body}", encoding.name());
                let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
                let found = parsed.body_text(0).unwrap().into_owned();
                prop_assert_eq!(found.trim_end_matches("\r\n"), plain.trim_end_matches("\r\n"));
            }
        }
    }
}
