//! The names in a zip archive and its size uncompressed, from its central directory (APPNOTE.TXT 4.3.12 and 4.3.16).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

pub struct ZipDirectory {
    pub names: Vec<String>,
    /// As the archive says.
    pub uncompressed_bytes: u64,
}

/// The end record is the last one, before a comment of at most 65,535 bytes.
const END_BYTES: u64 = 22 + 65_535;
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;
const ENTRY_BYTES: usize = 46;

/// `None` if there is no directory.
pub fn read(file: &mut File) -> io::Result<Option<ZipDirectory>> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = bytes(file, length.saturating_sub(END_BYTES), END_BYTES)?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06");
    let Some(end) = end.and_then(|end| tail.get(end..)) else {
        return Ok(None);
    };
    let (Some(size), Some(start)) = (number(end, 12, 4), number(end, 16, 4)) else {
        return Ok(None);
    };
    let directory = bytes(file, start, size.min(MAX_DIRECTORY_BYTES))?;
    Ok(Some(entries(&directory)))
}

fn bytes(file: &mut File, start: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    Read::by_ref(file).take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn entries(mut rest: &[u8]) -> ZipDirectory {
    let mut names = Vec::new();
    let mut uncompressed_bytes = 0u64;
    while rest.starts_with(b"PK\x01\x02")
        && let Some(bytes) = number(rest, 24, 4)
        && let Some(name_bytes) = number(rest, 28, 2)
        && let (Some(extra), Some(comment)) = (number(rest, 30, 2), number(rest, 32, 2))
    {
        let name_end = ENTRY_BYTES + name_bytes as usize;
        let name = rest.get(ENTRY_BYTES..name_end).unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
        uncompressed_bytes += bytes;
        let next = name_end + extra as usize + comment as usize;
        rest = rest.get(next..).unwrap_or_default();
    }
    ZipDirectory {
        names,
        uncompressed_bytes,
    }
}

/// A little-endian number of `count` bytes at `at`.
fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + count)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}
