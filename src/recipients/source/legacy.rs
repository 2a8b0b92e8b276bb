//! Encodings that a campaign names with `encoding`, converted to UTF-8 piece by piece.

use super::utf16;
use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// A byte that UTF-8 never contains. Replaces bytes that the encoding does not have, so that their row is rejected.
const INVALID: u8 = 0xFF;

/// An encoding of the WHATWG standard, such as `windows-1252`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEncoding(&'static Encoding);

impl FileEncoding {
    /// By any of its names in the standard: `latin1` is `windows-1252`.
    pub fn of_name(name: &str) -> Option<FileEncoding> {
        let found = Encoding::for_label_no_replacement(name.as_bytes());
        found.map(FileEncoding)
    }

    pub fn name(self) -> String {
        self.0.name().to_ascii_lowercase()
    }

    /// Bytes as text for a message. Broken bytes are replaced.
    pub fn shown(self, bytes: &[u8]) -> String {
        self.0.decode_without_bom_handling(bytes).0.into_owned()
    }

    pub(super) fn is_utf8(self) -> bool {
        self.0 == UTF_8
    }

    pub(super) fn decoder(self) -> encoding_rs::Decoder {
        self.0.new_decoder_without_bom_handling()
    }
}

/// A decoder of the same encoding at its beginning.
pub(super) fn fresh(decoder: &encoding_rs::Decoder) -> encoding_rs::Decoder {
    decoder.encoding().new_decoder_without_bom_handling()
}

fn is_utf16(encoding: &Encoding) -> bool {
    encoding == UTF_16LE || encoding == UTF_16BE
}

/// The name of the encoding if [`bytes_of`] cannot tell how many bytes a text was.
pub(super) fn unsearchable(decoder: &encoding_rs::Decoder) -> Option<String> {
    let encoding = decoder.encoding();
    let is_searchable = encoding.is_single_byte() || is_utf16(encoding);
    (!is_searchable).then(|| FileEncoding(encoding).name())
}

/// How many bytes became this text: one for each character, broken ones too.
pub(super) fn bytes_of(decoder: &encoding_rs::Decoder, text: &[u8]) -> u64 {
    if is_utf16(decoder.encoding()) {
        return utf16::bytes_of(text);
    }
    let begins = text.iter().filter(|byte| **byte & 0xC0 != 0x80);
    begins.count() as u64
}

/// Converts a piece and appends it to `out`.
pub(super) fn decode(
    decoder: &mut encoding_rs::Decoder,
    mut piece: &[u8],
    is_last: bool,
    out: &mut Vec<u8>,
) {
    loop {
        let start = out.len();
        // A byte becomes at most three, and a few may be left from the piece before.
        out.resize(start + piece.len() * 3 + 16, 0);
        let (_, room) = out.split_at_mut(start);
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(piece, room, is_last);
        out.truncate(start + written);
        piece = piece.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => out.push(INVALID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_in_any_pieces_and_marks_what_is_broken() {
        for (name, bytes, text) in [
            ("windows-1252", &b"J\xF6rg \x80"[..], "Jörg €"),
            ("latin1", b"M\xFCller", "Müller"),
            ("gb18030", b"\xD5\xC5\xCE\xB0", "张伟"),
            ("shift_jis", b"\x8D\xB2\x93\xA1", "佐藤"),
            ("macintosh", b"J\x9Arg", "Jörg"),
        ] {
            for size in 1..5 {
                let mut decoder = FileEncoding::of_name(name).unwrap().decoder();
                let mut out = Vec::new();
                for piece in bytes.chunks(size) {
                    decode(&mut decoder, piece, false, &mut out);
                }
                decode(&mut decoder, b"", true, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), text, "{name}");
            }
        }
        let mut decoder = FileEncoding::of_name("gb18030").unwrap().decoder();
        let mut out = Vec::new();
        decode(&mut decoder, b"a\xFFb\xD5", true, &mut out);
        assert_eq!(out, b"a\xFFb\xFF");
        assert_eq!(FileEncoding::of_name("utf-9"), None);
    }
}
