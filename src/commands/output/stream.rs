//! Where a list is written: stdout in large pieces, or a file.

use crate::commands::{Exit, Failure, terminal};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

const PIECE_BYTES: usize = 64 * 1024;

pub enum Stream {
    Stdout(Vec<u8>),
    File(BufWriter<File>),
}

impl Stream {
    pub fn stdout() -> Stream {
        Stream::Stdout(Vec::new())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::File(file) => file.write(bytes),
            Stream::Stdout(piece) => {
                piece.extend_from_slice(bytes);
                if piece.len() >= PIECE_BYTES {
                    self.flush()?;
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::File(file) => file.flush(),
            Stream::Stdout(piece) => terminal::write(&std::mem::take(piece)),
        }
    }
}

/// Where a list goes, for errors.
#[derive(Debug, Clone)]
pub enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    pub fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Target::Stdout => unwritten(error),
            Target::File(path) => unwritable(path, error),
        }
    }
}

/// A failed write to stdout. A reader that has gone is no failure (`mailq events | head`).
pub fn unwritten(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::new(Exit::TryLater, "cannot write to stdout").caused_by(error),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`", path.display())).caused_by(error)
}
