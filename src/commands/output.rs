//! The two streams: data on stdout, everything else on stderr. A reader that has gone ends the command quietly, where
//! `println!` would panic.

use super::outcome::{Exit, Failure};
use super::progress;
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// One line of data.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    write(text.as_ref().as_bytes(), b"\n")
}

/// Data as it is.
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes, b"")
}

/// The one document of `--json`, or one of several lines.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::usage("cannot write the result as JSON").caused_by(&error))?;
    line(text)
}

/// A line for people, above any progress bar. Nothing is to be done where stderr is closed.
pub fn note(text: impl AsRef<str>) {
    progress::above_bars(|| {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    });
}

fn write(bytes: &[u8], end: &[u8]) -> Result<(), Failure> {
    let mut written = Ok(());
    progress::above_bars(|| {
        let mut stdout = std::io::stdout().lock();
        written = stdout
            .write_all(bytes)
            .and_then(|()| stdout.write_all(end))
            .and_then(|()| stdout.flush());
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::new(Exit::TryLater, "cannot write to stdout").caused_by(&error),
    })
}
