//! Converts UTF-16 to UTF-8, piece by piece. Spreadsheet programs save it as "Unicode text".

/// A byte that UTF-8 never contains. Replaces a broken surrogate, so that its row is rejected.
const INVALID: u8 = 0xFF;

#[derive(Debug)]
pub struct Decoder {
    big_endian: bool,
    /// First byte of a code unit that the last piece cut.
    byte: Option<u8>,
    /// High surrogate that waits for its low surrogate.
    high: Option<u16>,
}

impl Decoder {
    pub fn new(big_endian: bool) -> Decoder {
        Decoder {
            big_endian,
            byte: None,
            high: None,
        }
    }

    /// A decoder of the same byte order at its beginning.
    pub fn fresh(&self) -> Decoder {
        Decoder::new(self.big_endian)
    }

    /// Converts a piece and appends it to `out`.
    pub fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for byte in piece {
            let Some(first) = self.byte.take() else {
                self.byte = Some(*byte);
                continue;
            };
            let unit = match self.big_endian {
                true => u16::from_be_bytes([first, *byte]),
                false => u16::from_le_bytes([first, *byte]),
            };
            self.unit(unit, out);
        }
    }

    /// At the end of the file. A code unit or pair that was cut is invalid.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.byte.take().is_some() || self.high.take().is_some() {
            out.push(INVALID);
        }
    }

    fn unit(&mut self, unit: u16, out: &mut Vec<u8>) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(c)) = char::decode_utf16([high, unit]).next() {
                push(c, out);
                return;
            }
            out.push(INVALID);
        }
        match unit {
            0xD800..=0xDBFF => self.high = Some(unit),
            unit => match char::from_u32(u32::from(unit)) {
                Some(c) => push(c, out),
                None => out.push(INVALID),
            },
        }
    }
}

/// How many bytes became this text: four for each character outside the basic plane, two for all others and for a broken
/// surrogate.
pub fn bytes_of(text: &[u8]) -> u64 {
    let bytes = text.iter().map(|byte| match byte {
        0x80..=0xBF => 0,
        0xF0..=0xF4 => 4,
        _ => 2,
    });
    bytes.sum()
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn converts_any_text_in_any_pieces(text in "\\PC{0,40}", size in 1usize..7, big in any::<bool>()) {
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            let mut decoder = Decoder::new(big);
            let mut out = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.decode(piece, &mut out);
            }
            decoder.finish(&mut out);
            prop_assert_eq!(bytes_of(&out), bytes.len() as u64);
            prop_assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn broken_surrogates_become_invalid_utf8_and_the_rest_is_kept() {
        let mut decoder = Decoder::new(false);
        let mut out = Vec::new();
        decoder.decode(&[b'a', 0, 0x00, 0xD8, b'b', 0, 0x00, 0xDC, b'c'], &mut out);
        decoder.finish(&mut out);
        assert_eq!(out, [b'a', INVALID, b'b', INVALID, INVALID]);
    }
}
