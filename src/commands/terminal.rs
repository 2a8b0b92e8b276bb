//! stdout and stderr of the process. Progress bars are hidden while something is written.

use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::{self, Write};
use std::sync::OnceLock;

/// A line for people on stderr. A closed stderr is ignored.
pub fn note(text: impl AsRef<str>) {
    bars().suspend(|| {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
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
