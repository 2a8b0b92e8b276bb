//! A file without a name for what does not fit into memory: nothing is left behind, whatever ends the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

const WRITE_BYTES: usize = 256 * 1024;

/// Made when it is first used, and removed at once: it lives as long as it is open.
pub struct TemporaryFile {
    folder: PathBuf,
    file: Option<Rc<File>>,
    end: u64,
}

/// Bytes of the file from `start` to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl TemporaryFile {
    pub fn new(folder: &Path) -> TemporaryFile {
        TemporaryFile {
            folder: folder.to_path_buf(),
            file: None,
            end: 0,
        }
    }

    fn open(&mut self) -> io::Result<Rc<File>> {
        if let Some(file) = &self.file {
            return Ok(Rc::clone(file));
        }
        let name = format!("mailq-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = self.folder.join(name);
        let mut options = OpenOptions::new();
        // Addresses and replies stand in it: for its owner only.
        options.read(true).write(true).create_new(true).mode(0o600);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        };
        let file = Rc::new(options.open(&path).map_err(named)?);
        fs::remove_file(&path).map_err(named)?;
        self.file = Some(Rc::clone(&file));
        Ok(file)
    }

    /// Appends to the file.
    pub fn append(&mut self) -> io::Result<Appender<'_>> {
        let file = self.open()?;
        let tail = Tail { file, at: self.end };
        Ok(Appender {
            start: self.end,
            end: &mut self.end,
            out: BufWriter::with_capacity(WRITE_BYTES, tail),
        })
    }

    /// Reads a part of what has been written.
    pub fn read(&mut self, span: Span) -> io::Result<Bytes> {
        let file = self.open()?;
        Ok(Bytes { file, span })
    }
}

/// Writes one span.
pub struct Appender<'f> {
    start: u64,
    end: &'f mut u64,
    out: BufWriter<Tail>,
}

impl Appender<'_> {
    pub fn finish(mut self) -> io::Result<Span> {
        self.out.flush()?;
        *self.end = self.out.get_ref().at;
        Ok(Span {
            start: self.start,
            end: *self.end,
        })
    }
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The end of the file has a place of its own, so that reading never moves it.
struct Tail {
    file: Rc<File>,
    at: u64,
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a span, once.
pub struct Bytes {
    file: Rc<File>,
    span: Span,
}

impl Read for Bytes {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.span.end - self.span.start).unwrap_or(usize::MAX);
        let length = left.min(bytes.len());
        let bytes = bytes.get_mut(..length).unwrap_or_default();
        let count = self.file.read_at(bytes, self.span.start)?;
        self.span.start += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_while_more_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TemporaryFile::new(folder.path());
        let mut spans = Vec::new();
        for text in ["one", "", "three"] {
            let mut appender = file.append().unwrap();
            appender.write_all(text.as_bytes()).unwrap();
            spans.push((appender.finish().unwrap(), text));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for (span, text) in spans {
            let mut read = String::new();
            file.read(span).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let mut file = TemporaryFile::new(Path::new("/nowhere/at/all"));
        let error = file.append().err().unwrap().to_string();
        assert!(error.contains("/nowhere/at/all/mailq-"), "{error}");
    }
}
