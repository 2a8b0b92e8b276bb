//! Writes message content: dot-stuffing (RFC 5321 §4.5.2), and no bare CR or LF, because servers disagree about where a
//! message with one ends (SMTP smuggling).

use memchr::memchr2;

/// A CR without LF or an LF without CR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bare {0} in the message")]
pub struct BareLineEnd(pub &'static str);

/// Writes a message piece by piece. The pieces may be cut anywhere.
#[derive(Debug, Clone, Copy)]
pub struct ContentWriter {
    /// With DATA. BDAT transfers the bytes as they are (RFC 3030 §2).
    stuffs_dots: bool,
    previous: Previous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    LineEnd,
    Cr,
    Other,
}

impl ContentWriter {
    pub fn new(stuffs_dots: bool) -> ContentWriter {
        ContentWriter {
            stuffs_dots,
            previous: Previous::LineEnd,
        }
    }

    /// Appends a piece to `out`. After an error `out` is incomplete.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        // Bytes before `at` have been examined, and are appended with the next dot or at the end.
        let mut rest = piece;
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            match (self.previous, *byte) {
                (Previous::Cr, b'\n') => self.previous = Previous::LineEnd,
                (Previous::Cr, _) => return Err(BareLineEnd("CR")),
                (_, b'\n') => return Err(BareLineEnd("LF")),
                (_, b'\r') => self.previous = Previous::Cr,
                (Previous::LineEnd, b'.') if self.stuffs_dots => {
                    let (before, dot_on) = rest.split_at(at);
                    out.extend_from_slice(before);
                    out.push(b'.');
                    (rest, at) = (dot_on, 0);
                    self.previous = Previous::Other;
                }
                _ => {
                    // Only a line end is of interest until the next line begins.
                    self.previous = Previous::Other;
                    let after = rest.get(at..).unwrap_or_default();
                    at += memchr2(b'\r', b'\n', after).unwrap_or(after.len());
                    continue;
                }
            }
            at += 1;
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the last line, if the message did not.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self.previous {
            Previous::LineEnd => Ok(()),
            Previous::Cr => Err(BareLineEnd("CR")),
            Previous::Other => {
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(content: &[u8], piece: usize, stuffs_dots: bool) -> Result<Vec<u8>, BareLineEnd> {
        let mut out = Vec::new();
        let mut writer = ContentWriter::new(stuffs_dots);
        for piece in content.chunks(piece.max(1)) {
            writer.push(piece, &mut out)?;
        }
        writer.finish(&mut out)?;
        Ok(out)
    }

    /// What a server does: splits at CRLF, drops one leading dot, stops at a lone dot.
    fn received(wire: &[u8]) -> Option<Vec<u8>> {
        let mut rest = wire;
        let mut content = Vec::new();
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let line = &rest[..end];
            rest = &rest[end + 2..];
            if line == b"." {
                return rest.is_empty().then_some(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            content.extend_from_slice(b"\r\n");
        }
    }

    #[test]
    fn doubles_dots_only_at_the_start_of_a_line() {
        let table: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b".", b"..\r\n"),
            (b".\r\n", b"..\r\n"),
            (b"a.b\r\n..\r\n", b"a.b\r\n...\r\n"),
            (b"a\r\n.\r\nb", b"a\r\n..\r\nb\r\n"),
        ];
        for (content, wire) in table {
            assert_eq!(written(content, 1, true).unwrap(), *wire);
            assert_eq!(written(content, 99, true).unwrap(), *wire);
        }
        assert_eq!(written(b".a\r\n", 9, false).unwrap(), b".a\r\n");
    }

    #[test]
    fn refuses_a_bare_cr_or_lf() {
        let long = [vec![b'x'; 100], b"\n.\r\n".to_vec()].concat();
        for content in [&b"a\nb"[..], b"a\rb", b"a\r", b"\n", b"a\r\r\n", &long] {
            for stuffs_dots in [true, false] {
                assert!(written(content, 7, stuffs_dots).is_err(), "{content:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_server_receives_what_was_sent(
            lines in proptest::collection::vec("[.a-z]{0,90}", 0..30),
            piece in 1_usize..200,
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let mut wire = written(&content, piece, true).unwrap();
            wire.extend_from_slice(b".\r\n");
            prop_assert_eq!(received(&wire), Some(content));
        }

        #[test]
        fn writes_any_bytes_whole_or_refuses_them(
            content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..200),
            piece in 1_usize..64,
        ) {
            let bare = content.iter().enumerate().any(|(at, byte)| match byte {
                b'\r' => content.get(at + 1) != Some(&b'\n'),
                b'\n' => at == 0 || content[at - 1] != b'\r',
                _ => false,
            });
            prop_assert_eq!(written(&content, piece, true).is_err(), bare);
        }
    }
}
