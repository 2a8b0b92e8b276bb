//! Reports an error: on stderr for people, and with `--json` also as one document on stdout.

use crate::commands::{Exit, Failure, output, terminal};
use crate::domain::shown::on_one_line;
use serde_json::json;

/// Prints `error: …`, then `hint: …`. Returns the exit code of the failure.
pub fn failure(failure: &Failure, json: bool) -> Exit {
    if failure.what.is_empty() {
        return failure.exit;
    }
    terminal::note(format!("error: {}", on_one_line(&failure.what)));
    if let Some(hint) = &failure.hint {
        terminal::note(format!("hint: {}", on_one_line(hint)));
    }
    if json {
        // If stdout is closed as well, the error has no reader.
        let _ = output::json(&json!({
            "error": failure.what,
            "hint": failure.hint,
            "exit": failure.exit as u8,
        }));
    }
    failure.exit
}

/// Prints what clap returns instead of a command: help and version on stdout, errors on stderr.
pub fn usage(error: &clap::Error, json: bool) -> Exit {
    let text = error.render().to_string();
    if !error.use_stderr() {
        let shown = output::raw(text.as_bytes());
        return shown.map_or_else(|failure| failure.exit, |()| Exit::Done);
    }
    terminal::note(text.trim_end());
    if json {
        let what = text.strip_prefix("error: ").unwrap_or(&text);
        let what = what.split("\n\n").next().unwrap_or_default().trim();
        let _ = output::json(&json!({"error": what, "hint": "mailq --help", "exit": 2}));
    }
    Exit::Usage
}
