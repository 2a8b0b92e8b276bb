//! The bytes of a recipients file, converted to UTF-8, and the fingerprint of the file.

mod legacy;
mod utf16;

use super::error::RecipientsError;
use crate::bounded_file;
use crate::domain::digest::hex;
use ring::digest;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use utf16::Decoder;

pub use legacy::FileEncoding;

const PIECE_BYTES: usize = 256 * 1024;

/// A file that is read once, from its beginning to its end.
pub struct Source {
    path: PathBuf,
    file: File,
    piece: Vec<u8>,
    hash: digest::Context,
    /// The encoding that the campaign names.
    given: Option<FileEncoding>,
    /// `None` until the first piece is read.
    encoding: Option<Encoding>,
    bytes_read: u64,
    /// Length of the byte order mark.
    mark_bytes: u64,
    is_marked: bool,
}

enum Encoding {
    Utf8,
    Utf16(Decoder),
    Legacy(encoding_rs::Decoder),
}

/// A cheap check that a file is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    pub modified_at: Option<SystemTime>,
}

impl Source {
    /// `encoding`: of a file without a byte order mark. `None` for UTF-8, and UTF-16 where it is unmistakable.
    pub fn open(path: &Path, encoding: Option<FileEncoding>) -> Result<Source, RecipientsError> {
        let file = bounded_file::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Source {
            path: path.to_path_buf(),
            file,
            piece: vec![0; PIECE_BYTES],
            hash: digest::Context::new(&digest::SHA256),
            given: encoding,
            encoding: None,
            bytes_read: 0,
            mark_bytes: 0,
            is_marked: false,
        })
    }

    /// The same file for a reader that seeks. Call [`Source::rewind`] after it has read.
    pub fn share(&self) -> Result<File, RecipientsError> {
        let shared = self.file.try_clone();
        shared.map_err(|error| unreadable(&self.path, &error))
    }

    pub fn rewind(&mut self) -> Result<(), RecipientsError> {
        let rewound = self.file.rewind();
        rewound.map_err(|error| unreadable(&self.path, &error))
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the file has a byte order mark or another encoding than UTF-8. Known after the first read.
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    pub fn stamp(&self) -> Result<Stamp, RecipientsError> {
        let metadata = self
            .file
            .metadata()
            .map_err(|error| unreadable(&self.path, &error))?;
        Ok(Stamp {
            bytes: metadata.len(),
            modified_at: metadata.modified().ok(),
        })
    }

    /// Appends the next piece as UTF-8 to `out`. `false` at the end of the file. Broken text becomes bytes that are not
    /// UTF-8, so that its row is rejected.
    pub fn read(&mut self, out: &mut Vec<u8>) -> Result<bool, RecipientsError> {
        let count = self.fill()?;
        let (piece, _) = self.piece.split_at(count);
        let (skipped, encoding) = match &mut self.encoding {
            Some(encoding) => (0, encoding),
            none => {
                let (skipped, encoding) = recognise(piece, self.given);
                self.mark_bytes = skipped as u64;
                self.is_marked = skipped > 0 || !matches!(encoding, Encoding::Utf8);
                (skipped, none.insert(encoding))
            }
        };
        let (_, piece) = piece.split_at(skipped);
        match encoding {
            Encoding::Utf8 => out.extend_from_slice(piece),
            Encoding::Legacy(decoder) => legacy::decode(decoder, piece, count == 0, out),
            Encoding::Utf16(decoder) if count == 0 => decoder.finish(out),
            Encoding::Utf16(decoder) => decoder.decode(piece, out),
        }
        Ok(count > 0)
    }

    /// The name of the encoding, if the place of a row cannot be computed from the text before it: a character may have
    /// several spellings, or take no bytes.
    pub fn unsearchable(&self) -> Option<String> {
        match &self.encoding {
            Some(Encoding::Legacy(decoder)) => legacy::unsearchable(decoder),
            _ => None,
        }
    }

    pub fn mark_bytes(&self) -> u64 {
        self.mark_bytes
    }

    /// How many bytes of the file became this text.
    pub fn bytes_of(&self, text: &[u8]) -> u64 {
        match &self.encoding {
            Some(Encoding::Utf16(_)) => utf16::bytes_of(text),
            Some(Encoding::Legacy(decoder)) => legacy::bytes_of(decoder, text),
            _ => text.len() as u64,
        }
    }

    /// Converts `count` bytes of the file from `offset` on, where a character begins. `true`: the file ends there.
    pub fn read_at(
        &self,
        offset: u64,
        count: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, RecipientsError> {
        let mut piece = vec![0; count];
        let mut filled = 0;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
        let is_end = filled < count;
        piece.truncate(filled);
        out.clear();
        match &self.encoding {
            Some(Encoding::Utf16(decoder)) => decoder.fresh().decode(&piece, out),
            Some(Encoding::Legacy(decoder)) => {
                legacy::decode(&mut legacy::fresh(decoder), &piece, is_end, out);
            }
            _ => out.append(&mut piece),
        }
        Ok(is_end)
    }

    /// SHA-256 of the file in hexadecimal. Reads what has not been read yet.
    pub fn fingerprint(mut self) -> Result<String, RecipientsError> {
        while self.fill()? > 0 {}
        Ok(hex(self.hash.finish().as_ref()))
    }

    /// Fills the whole piece unless the file ends, so that a byte order mark is never split.
    fn fill(&mut self) -> Result<usize, RecipientsError> {
        let mut filled = 0;
        while let Some(rest) = self.piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        }
        let (read, _) = self.piece.split_at(filled);
        self.hash.update(read);
        self.bytes_read += filled as u64;
        Ok(filled)
    }
}

/// The encoding and the length of its byte order mark. The mark decides before the campaign does, because the file of
/// rejected rows has one.
fn recognise(start: &[u8], given: Option<FileEncoding>) -> (usize, Encoding) {
    match start {
        [0xEF, 0xBB, 0xBF, ..] => (3, Encoding::Utf8),
        [0xFF, 0xFE, ..] => (2, Encoding::Utf16(Decoder::new(false))),
        [0xFE, 0xFF, ..] => (2, Encoding::Utf16(Decoder::new(true))),
        _ => match given {
            Some(encoding) if encoding.is_utf8() => (0, Encoding::Utf8),
            Some(encoding) => (0, Encoding::Legacy(encoding.decoder())),
            None => (0, without_mark(start)),
        },
    }
}

/// UTF-16 if a quarter of the bytes is NUL, nearly all of them on the same side of the code units, and few units are two
/// bytes of ASCII. Every list has ASCII addresses, and text in other encodings has no NUL bytes.
fn without_mark(start: &[u8]) -> Encoding {
    let (mut first, mut second, mut ascii) = (0usize, 0usize, 0usize);
    for pair in start.chunks_exact(2) {
        match pair {
            [0, _] => first += 1,
            [_, 0] => second += 1,
            pair => ascii += usize::from(pair.is_ascii()),
        }
    }
    let (most, fewest) = (first.max(second), first.min(second));
    let is_utf16 = most * 4 >= start.len() && most >= fewest * 9 && most >= ascii * 4;
    match is_utf16 && most > 0 {
        true => Encoding::Utf16(Decoder::new(first > second)),
        false => Encoding::Utf8,
    }
}

pub fn unreadable(path: &Path, error: &io::Error) -> RecipientsError {
    RecipientsError::Unreadable {
        path: path.display().to_string(),
        what: error.to_string(),
    }
}
