//! Where `tracing` writes: stderr, above any progress bar.

use crate::commands::{Failure, terminal};
use crate::config::{LogFormat, LogSettings};
use crate::domain::shown::on_one_line;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging for the life of the process. Errors: an invalid filter.
pub fn start(settings: &LogSettings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        let what = format!(
            "{}: `{}` is not a log filter",
            settings.source, settings.filter
        );
        Failure::usage(what)
            .caused_by(&error)
            .with_hint("use a level like `info`, or `mailq::smtp=debug`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars)
        .with_ansi(false);
    // Fails only if a subscriber is already set, which then receives the logs.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct AboveBars;

impl MakeWriter<'_> for AboveBars {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(Vec::new())
    }
}

/// Collects one event and writes it at once, so that a progress bar cannot come in between.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let event = String::from_utf8_lossy(&self.0);
            terminal::note(on_one_line(event.trim_end_matches('\n')));
        }
    }
}
