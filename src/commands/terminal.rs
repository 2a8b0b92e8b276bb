//! stdout and stderr of the process. Progress bars are hidden while something is written.

use crate::domain::shown::on_lines;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::{self, Write};
use std::sync::OnceLock;

/// A text for people on stderr, with hidden characters by name. A closed stderr is ignored.
pub fn note(text: impl AsRef<str>) {
    let text = on_lines(text.as_ref());
    bars().suspend(|| {
        let _ = writeln!(io::stderr().lock(), "{text}");
    });
}

/// Writes data to stdout and flushes it. Errors: those of the write, including a closed pipe.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    bars().suspend(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    })
}

/// All progress bars of the process, drawn on stderr.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}
