//! Guesses about text: which encoding bytes have that are not UTF-8, and whether text was decoded wrongly before it came
//! into the list.

use super::error::{RecipientsError, shortened};
use super::record::Record;
use super::source::FileEncoding;
use encoding_rs::WINDOWS_1252;

/// What was seen of cells that are not UTF-8, over a whole file.
#[derive(Debug, Default)]
pub struct EncodingEvidence {
    /// Bytes above ASCII, and those of them below 0xA0.
    high: u64,
    below_a0: u64,
    /// Bytes that are letters in DOS code pages, and bytes that are letters on a Macintosh. Both are rare in the other.
    dos: u64,
    macintosh: u64,
    /// Runs of bytes above ASCII, and how many of them have an odd length.
    runs: u64,
    odd_runs: u64,
}

impl EncodingEvidence {
    pub fn add(&mut self, text: &[u8]) {
        let mut run = 0u64;
        for byte in text {
            if !byte.is_ascii() {
                run += 1;
                self.high += 1;
                self.below_a0 += u64::from(*byte < 0xA0);
                self.dos += u64::from(matches!(byte, 0x81 | 0x82 | 0x84 | 0x94));
                self.macintosh += u64::from(matches!(byte, 0x8A | 0x8E | 0x9A | 0x9F));
                continue;
            }
            self.end_run(&mut run);
        }
        self.end_run(&mut run);
    }

    fn end_run(&mut self, run: &mut u64) {
        self.runs += u64::from(*run > 0);
        self.odd_runs += *run % 2;
        *run = 0;
    }

    /// The likely encoding. In Western text single bytes stand between ASCII letters; words of Cyrillic have several in a
    /// row; Chinese has pairs. Macintosh has its letters where Windows has signs. DOS code pages cannot be read.
    pub fn guess(&self) -> Option<FileEncoding> {
        let name = if self.high == 0 {
            return None;
        } else if self.high < self.runs * 2 {
            match self.below_a0 * 2 > self.high {
                true if self.dos > self.macintosh => return None,
                true => "macintosh",
                false => "windows-1252",
            }
        } else if self.odd_runs == 0 && self.below_a0 * 4 < self.high {
            "gb18030"
        } else if self.below_a0 * 4 < self.high {
            "windows-1251"
        } else {
            return None;
        };
        FileEncoding::of_name(name)
    }
}

/// Of a cell that is not UTF-8, so much is decoded for a message.
const SAMPLE_BYTES: usize = 240;

/// A row that is not UTF-8.
pub struct BrokenText {
    path: String,
    line: u64,
    /// The beginning of its first cell that is not UTF-8.
    cell: Vec<u8>,
}

impl BrokenText {
    pub fn new(path: String, line: u64, record: &Record) -> BrokenText {
        let is_broken = |cell: &&[u8]| std::str::from_utf8(cell).is_err();
        let cell = record.cells().find(is_broken).unwrap_or_default();
        let cell = cell.get(..SAMPLE_BYTES).unwrap_or(cell).to_vec();
        BrokenText { path, line, cell }
    }

    /// The error for the whole file.
    pub fn error(self, evidence: &EncodingEvidence) -> RecipientsError {
        let guess = evidence.guess();
        let sample = match guess {
            Some(encoding) => shortened(encoding.shown(&self.cell).as_bytes()),
            None => shortened(&self.cell),
        };
        RecipientsError::Encoding {
            path: self.path,
            line: self.line,
            sample,
            guess: guess.map(FileEncoding::name),
        }
    }
}

/// What a text was before its UTF-8 was read as Windows-1252: `Jörg` for `JÃ¶rg`. `None` if it does not look so, and the
/// text itself if it cannot be restored.
pub fn before_wrong_decoding(text: &str) -> Option<String> {
    let mut characters = text.chars().peekable();
    let mut looks_wrong = false;
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        looks_wrong |= match c {
            'Ã' | 'Â' | 'Ð' => next.is_some_and(is_continuation),
            'â' => next == Some('€'),
            _ => false,
        };
    }
    if !looks_wrong {
        return None;
    }
    let (bytes, _, is_lossy) = WINDOWS_1252.encode(text);
    match std::str::from_utf8(&bytes) {
        Ok(meant) if !is_lossy => Some(meant.to_string()),
        _ => Some(text.to_string()),
    }
}

/// Whether Windows-1252 has the character at a byte that continues a character in UTF-8.
fn is_continuation(c: char) -> bool {
    let mut buffer = [0; 4];
    let (bytes, _, is_lossy) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
    !is_lossy && matches!(*bytes, [0x80..=0xBF])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_the_encoding_of_names() {
        for (name, text) in [
            ("windows-1252", "Jörg Müller, François, 5 €, O’Neil"),
            ("windows-1252", "señor"),
            ("macintosh", "Jörg Müller, François"),
            ("windows-1251", "Анна Петрова, Москва, ул"),
            ("gb18030", "张伟, 北京市"),
        ] {
            let encoding = FileEncoding::of_name(name).unwrap();
            let label = encoding_rs::Encoding::for_label(name.as_bytes()).unwrap();
            let mut evidence = EncodingEvidence::default();
            evidence.add(&label.encode(text).0);
            assert_eq!(evidence.guess(), Some(encoding), "{text}");
        }
        assert_eq!(EncodingEvidence::default().guess(), None);
        let mut dos = EncodingEvidence::default();
        dos.add(b"J\x94rg M\x81ller");
        assert_eq!(dos.guess(), None);
    }

    #[test]
    fn recognises_text_that_was_decoded_wrongly() {
        for (text, meant) in [
            ("JÃ¶rg", Some("Jörg")),
            ("MÃ¼ller â€“ Ã\u{A0} la carte", Some("Müller – à la carte")),
            ("Ã–sterreich 中", Some("Ã–sterreich 中")),
            ("Jörg Müller – à la carte", None),
            ("SÃO PAULO, Ânia, âge", None),
            ("plain", None),
        ] {
            assert_eq!(before_wrong_decoding(text).as_deref(), meant, "{text}");
        }
    }
}
