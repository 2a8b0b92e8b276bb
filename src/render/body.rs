//! Content transfer encodings (RFC 2045 §6): always 7-bit, so that no relay has to convert a message and no signature
//! breaks. Line ends of any kind become CRLF here, in the one pass that looks at every byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Lines have at most as many characters, CRLF not counted.
const LINE: usize = 76;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// Base64 where more than a third of the bytes is not ASCII: quoted-printable would treble them.
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

    /// Appends the text, encoded, ending with CRLF. A line end at the text's end is not doubled.
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
    let mut buffer = [0; LINE];
    for (index, piece) in lines.chunks(LINE / 4 * 3).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        // 57 bytes become exactly 76: the buffer is never too small.
        let written = STANDARD.encode_slice(piece, &mut buffer).unwrap_or(0);
        out.extend_from_slice(buffer.get(..written).unwrap_or_default());
    }
}

/// `rest` begins with a line end: CRLF, LF or CR.
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

    /// White space at the end of a line would be lost on the way.
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
            // One place is left for the `=` of a soft line break.
            let room = (LINE - 1).saturating_sub(self.column);
            let (now, later) = run.split_at(room.min(run.len()));
            self.out.extend_from_slice(now);
            self.column += now.len();
            run = later;
            if !run.is_empty() {
                self.soft_break();
            }
        }
    }

    /// A dot would have to be stuffed and `From ` be quoted by some programs on the way; escaped they are left alone.
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
        if self.column + 3 > LINE - 1 {
            self.soft_break();
        }
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        self.out
            .extend_from_slice(&[b'=', digit(byte >> 4), digit(byte & 15)]);
        self.column += 3;
    }

    fn soft_break(&mut self) {
        self.out.extend_from_slice(b"=\r\n");
        self.column = 0;
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
    fn quoted_printable_escapes_what_does_not_travel() {
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
    fn the_encoding_follows_the_text() {
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
        fn both_encodings_come_back_through_another_parser(text in "([ -~\t\r\né春.=]|From ){0,200}") {
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
