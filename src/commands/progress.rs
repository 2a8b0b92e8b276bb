//! What a long command reports while it works: progress as a bar on a terminal and as a line every ten seconds
//! elsewhere, notices, and warnings.

use super::Global;
use super::terminal::{bars, note};
use super::text::grouped;
use super::time::estimate;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How much a command reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Progress and notices.
    Full,
    /// As `Full` on a terminal; elsewhere only warnings, because cron mails every line.
    Unattended,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Rows that are checked or rendered.
    Rows,
    /// Messages that are sent.
    Messages,
    /// Records that are read.
    Records,
}

/// Absolute values. Those after `total` are shown for messages only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub done: u64,
    /// `None`: unknown, so there is neither a bar nor an estimate.
    pub total: Option<u64>,
    pub sent: u64,
    pub retrying: u64,
    pub dead: u64,
}

impl Counts {
    pub fn of(done: u64, total: u64) -> Counts {
        Counts {
            done,
            total: Some(total),
            ..Counts::default()
        }
    }
}

const SHOW_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);
const SMOOTHED_OVER: Duration = Duration::from_secs(10);

/// The progress of one job. Dropping it removes the bar.
pub struct Progress {
    unit: Unit,
    prints_notices: bool,
    state: RefCell<State>,
}

struct State {
    bar: Option<ProgressBar>,
    prints_lines: bool,
    line_at: Instant,
    speed: Speed,
}

impl Progress {
    pub fn new(unit: Unit, verbosity: Verbosity, global: &Global) -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        let is_hidden = global.quiet || global.json;
        let bar = (is_terminal && !is_hidden).then(|| {
            let bar = bars().add(ProgressBar::no_length());
            bar.set_style(style("{spinner} {msg}"));
            bar
        });
        let is_full = verbosity == Verbosity::Full;
        Progress {
            unit,
            prints_notices: !global.quiet && (is_full || is_terminal),
            state: RefCell::new(State {
                bar,
                prints_lines: is_full && !is_terminal && !is_hidden,
                line_at: Instant::now(),
                speed: Speed::new(Instant::now()),
            }),
        }
    }

    /// A notice for somebody who watches. Cron does not get it.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.prints_notices {
            note(text);
        }
    }

    /// A line that is printed in any case, `-q` included.
    pub fn warn(&self, text: impl AsRef<str>) {
        note(text);
    }

    /// Whether anybody sees the counts.
    pub fn is_shown(&self) -> bool {
        let state = self.state.borrow();
        state.bar.is_some() || state.prints_lines
    }

    /// Draws a few times a second at most, so callers need no throttle.
    pub fn set(&self, counts: Counts) {
        self.state
            .borrow_mut()
            .set(self.unit, counts, Instant::now());
    }

    /// Removes the bar. The command prints its result afterwards.
    pub fn finish(&self) {
        if let Some(bar) = self.state.borrow_mut().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl State {
    fn set(&mut self, unit: Unit, counts: Counts, now: Instant) {
        if !self.speed.measure(counts.done, now) {
            return;
        }
        let text = || describe(unit, &counts, self.speed.per_second);
        if let Some(bar) = &self.bar {
            if let Some(total) = counts.total {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style("{bar:30} {percent:>3}% {msg}"));
                }
                bar.set_position(counts.done.min(total));
            }
            bar.set_message(text());
        } else if self.prints_lines && now.duration_since(self.line_at) >= LINE_EVERY {
            self.line_at = now;
            note(text());
        }
    }
}

/// Units a second, smoothed over about ten seconds, so that a rate of 30/min does not jump with every message.
struct Speed {
    measured_at: Instant,
    done: u64,
    per_second: f64,
}

impl Speed {
    fn new(now: Instant) -> Speed {
        Speed {
            measured_at: now,
            done: 0,
            per_second: 0.0,
        }
    }

    /// Whether enough time has passed for a new value.
    fn measure(&mut self, done: u64, now: Instant) -> bool {
        let span = now.duration_since(self.measured_at);
        if span < SHOW_EVERY {
            return false;
        }
        // Enqueue counts twice from zero: when it checks the rows and when it renders them.
        let last = done.saturating_sub(self.done) as f64 / span.as_secs_f64();
        self.per_second = match self.per_second {
            0.0 => last,
            smoothed => {
                let weight = 1.0 - (-span.as_secs_f64() / SMOOTHED_OVER.as_secs_f64()).exp();
                smoothed + (last - smoothed) * weight
            }
        };
        (self.measured_at, self.done) = (now, done);
        true
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `12,000 of 50,000 rows, 8,200 rows/s, 5s left`.
fn describe(unit: Unit, counts: &Counts, per_second: f64) -> String {
    let noun = match unit {
        Unit::Rows => "rows",
        Unit::Messages => "messages",
        Unit::Records => "records",
    };
    let mut text = grouped(counts.done);
    if let Some(total) = counts.total {
        text += &format!(" of {}", grouped(total));
    }
    text += &format!(" {noun}");
    if unit == Unit::Messages {
        text += &format!(", {} sent", grouped(counts.sent));
        for (count, word) in [(counts.retrying, "retrying"), (counts.dead, "dead")] {
            if count > 0 {
                text += &format!(", {} {word}", grouped(count));
            }
        }
    }
    text += &match per_second {
        slow if slow < 10.0 => format!(", {slow:.1} {noun}/s"),
        fast => format!(", {} {noun}/s", grouped(fast as u64)),
    };
    let left = counts.total.map(|total| total.saturating_sub(counts.done));
    if let Some(left) = left.filter(|left| *left > 0) {
        text += &match estimate(left as f64 / per_second) {
            Some(time) => format!(", {time} left"),
            None => ", no estimate".to_string(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_counts_speed_and_time_left() {
        let counts = Counts {
            done: 12_000,
            total: Some(15_750),
            sent: 11_900,
            retrying: 90,
            dead: 0,
        };
        assert_eq!(
            describe(Unit::Messages, &counts, 0.5),
            "12,000 of 15,750 messages, 11,900 sent, 90 retrying, 0.5 messages/s, 2h 5m left"
        );
        let counts = Counts {
            done: 999,
            ..Counts::default()
        };
        assert_eq!(
            describe(Unit::Rows, &counts, 8_200.7),
            "999 rows, 8,200 rows/s"
        );
        assert_eq!(describe(Unit::Rows, &counts, 0.0), "999 rows, 0.0 rows/s");
        let counts = Counts::of(10, 1_000_000);
        for slow in [0.0, 0.001] {
            let text = describe(Unit::Rows, &counts, slow);
            assert_eq!(text, "10 of 1,000,000 rows, 0.0 rows/s, no estimate");
        }
        let done = Counts::of(10, 10);
        assert_eq!(
            describe(Unit::Rows, &done, 5.0),
            "10 of 10 rows, 5.0 rows/s"
        );
    }

    #[test]
    fn speed_follows_the_last_seconds() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut speed = Speed::new(start);
        assert!(!speed.measure(50, after(100)));
        assert!(speed.measure(100, after(1_000)));
        assert_eq!(speed.per_second, 100.0);
        for second in 2..60 {
            speed.measure(100 + second, after(second * 1_000));
        }
        assert!(speed.per_second < 2.0, "{}", speed.per_second);
        // A second count from zero does not make the speed negative.
        assert!(speed.measure(0, after(61_000)));
        assert!(speed.per_second >= 0.0);
    }
}
