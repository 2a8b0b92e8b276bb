//! Data on stdout: lines, JSON documents, streams. A closed pipe ends the command quietly, where `println!` panics.

use super::failure::{Exit, Failure};
use super::terminal;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// One line of data.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    raw(format!("{}\n", text.as_ref()).as_bytes())
}

/// Data as it is.
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    terminal::write(bytes).map_err(|error| unwritten(&error))
}

/// The one document of `--json`, or one of several lines.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::usage("cannot write the result as JSON").caused_by(&error))?;
    line(text)
}

/// Much data, written in pieces.
#[derive(Default)]
pub struct Stream {
    piece: Vec<u8>,
    /// Each line leaves as soon as it is complete, for who follows.
    is_followed: bool,
}

const PIECE_BYTES: usize = 64 * 1024;

impl Stream {
    pub fn new(is_followed: bool) -> Stream {
        Stream {
            is_followed,
            ..Stream::default()
        }
    }

    /// One of several documents.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut *self, value)
            .map_err(io::Error::from)
            .and_then(|()| self.write_all(b"\n"))
            .and_then(|()| match self.is_followed {
                true => self.flush(),
                false => Ok(()),
            })
            .map_err(|error| unwritten(&error))
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.flush().map_err(|error| unwritten(&error))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        terminal::write(&piece)
    }
}

/// The one document of `--json` where it is a list too long to be held: an element a line.
#[derive(Default)]
pub struct List {
    stream: Stream,
    is_begun: bool,
}

impl List {
    pub fn add(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let before: &[u8] = if self.is_begun { b",\n" } else { b"[" };
        self.is_begun = true;
        self.stream
            .write_all(before)
            .and_then(|()| Ok(serde_json::to_writer(&mut self.stream, value)?))
            .map_err(|error| unwritten(&error))
    }

    pub fn finish(mut self) -> Result<(), Failure> {
        let end: &[u8] = if self.is_begun { b"]\n" } else { b"[]\n" };
        self.stream
            .write_all(end)
            .map_err(|error| unwritten(&error))?;
        self.stream.finish()
    }
}

/// What it means for a command that stdout takes no more.
pub fn unwritten(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::new(Exit::TryLater, "cannot write to stdout").caused_by(error),
    }
}
