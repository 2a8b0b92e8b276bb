//! Progress for people: bars on a terminal, a plain line every ten seconds elsewhere, nothing with `-q`.

use super::terminal::{bars, note};
use super::text::grouped;
use crate::domain::span;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What is counted, and so what the bar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows that are read, checked or rendered.
    Enqueue,
    /// Messages that leave.
    Send,
    /// Records that are read, by `verify` and `recipients`.
    Read,
}

/// How far things are. Absolute values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Snapshot {
    pub rows_done: u64,
    /// `None`: not known, so there is no bar and no estimate.
    pub rows_total: Option<u64>,
    pub sent: u64,
    pub retrying: u64,
    pub dead: u64,
    pub per_second: f64,
    pub eta: Option<Duration>,
}

const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// One job's progress.
#[derive(Debug)]
pub struct Progress {
    kind: Kind,
    bar: Option<ProgressBar>,
    plain: bool,
    said_at: Instant,
}

impl Progress {
    /// A bar where stderr is a terminal, lines elsewhere.
    pub fn new(kind: Kind) -> Progress {
        let on_terminal = std::io::stderr().is_terminal();
        let bar = on_terminal.then(|| {
            let bar = bars().add(ProgressBar::no_length());
            bar.set_style(style("{spinner} {msg}"));
            bar
        });
        Progress {
            kind,
            bar,
            plain: !on_terminal,
            said_at: Instant::now(),
        }
    }

    /// Bars only: what cron runs prints no lines.
    pub fn quiet_elsewhere(mut self) -> Progress {
        self.plain = false;
        self
    }

    /// Shows nothing at all.
    pub fn hidden(kind: Kind) -> Progress {
        Progress {
            kind,
            bar: None,
            plain: false,
            said_at: Instant::now(),
        }
    }

    /// Shows how far things are; may be called as often as one likes.
    pub fn set(&mut self, snapshot: Snapshot) {
        let text = describe(self.kind, &snapshot);
        if let Some(bar) = &self.bar {
            if let Some(total) = snapshot.rows_total {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style("{bar:30} {percent:>3}% {msg}"));
                }
                bar.set_position(snapshot.rows_done.min(total));
            }
            bar.set_message(text);
        } else if self.plain && self.said_at.elapsed() >= PLAIN_INTERVAL {
            self.said_at = Instant::now();
            note(text);
        }
    }

    /// Takes the bar away; what came of it is said by the command.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `12,000 of 50,000 rows, 8,200 rows/s, 5s left`.
fn describe(kind: Kind, snapshot: &Snapshot) -> String {
    let noun = match kind {
        Kind::Enqueue => "rows",
        Kind::Send => "messages",
        Kind::Read => "records",
    };
    let mut text = grouped(snapshot.rows_done);
    if let Some(total) = snapshot.rows_total {
        text += &format!(" of {}", grouped(total));
    }
    text += &format!(" {noun}");
    if kind == Kind::Send {
        text += &format!(", {} sent", grouped(snapshot.sent));
        for (count, word) in [(snapshot.retrying, "retrying"), (snapshot.dead, "dead")] {
            if count > 0 {
                text += &format!(", {} {word}", grouped(count));
            }
        }
    }
    let unit = if kind == Kind::Send { "sent" } else { noun };
    text += &match snapshot.per_second {
        slow if slow < 10.0 => format!(", {slow:.1} {unit}/s"),
        fast => format!(", {} {unit}/s", grouped(fast as u64)),
    };
    if let Some(eta) = snapshot.eta {
        text += &format!(
            ", {} left",
            span::human(Duration::from_secs(eta.as_secs().max(1)))
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_counts() {
        let snapshot = Snapshot {
            rows_done: 12_000,
            rows_total: Some(1_050_000),
            sent: 11_900,
            retrying: 90,
            dead: 0,
            per_second: 0.5,
            eta: Some(Duration::from_secs(7_500)),
        };
        assert_eq!(
            describe(Kind::Send, &snapshot),
            "12,000 of 1,050,000 messages, 11,900 sent, 90 retrying, 0.5 sent/s, 2h 5m left"
        );
        let snapshot = Snapshot {
            rows_done: 999,
            per_second: 8_200.7,
            ..Snapshot::default()
        };
        assert_eq!(describe(Kind::Enqueue, &snapshot), "999 rows, 8,200 rows/s");
    }
}
