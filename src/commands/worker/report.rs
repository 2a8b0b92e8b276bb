//! What a worker did: JSON, the closing line and the exit code.

use super::stop_signal::StopSignal;
use crate::commands::Exit;
use crate::commands::text::{counted, grouped};
use crate::domain::duration;
use crate::engine::worker::{LeftWork, Summary};
use serde::Serialize;

/// Messages that got their final outcome in this process.
pub fn ended(summary: &Summary) -> u64 {
    summary.delivered
        + summary.bounced
        + summary.dead
        + summary.suppressed
        + summary.expired
        + summary.cancelled
        + summary.in_doubt
}

/// The JSON of `send --json`.
#[derive(Debug, Serialize)]
pub struct SendReport {
    delivered: u64,
    deferred: u64,
    bounced: u64,
    dead: u64,
    suppressed: u64,
    expired: u64,
    cancelled: u64,
    in_doubt: u64,
    attempts: u64,
    elapsed_seconds: f64,
    messages_per_second: f64,
}

impl From<&Summary> for SendReport {
    fn from(summary: &Summary) -> SendReport {
        let elapsed_seconds = summary.elapsed.as_secs_f64();
        SendReport {
            delivered: summary.delivered,
            deferred: summary.deferred,
            bounced: summary.bounced,
            dead: summary.dead,
            suppressed: summary.suppressed,
            expired: summary.expired,
            cancelled: summary.cancelled,
            in_doubt: summary.in_doubt,
            attempts: summary.attempts,
            elapsed_seconds,
            messages_per_second: summary.delivered as f64 / elapsed_seconds.max(0.001),
        }
    }
}

/// The closing line: `9,980 delivered, 12 bounced, 8 dead in 5m 32s (30.1/s)`.
pub fn closing_line(summary: &Summary) -> String {
    let counts = [
        (summary.delivered, "delivered"),
        (summary.bounced, "bounced"),
        (summary.dead, "dead"),
        (summary.in_doubt, "in doubt"),
        (summary.suppressed, "suppressed"),
        (summary.expired, "expired"),
        (summary.cancelled, "cancelled"),
    ];
    let first = counts
        .first()
        .into_iter()
        .chain(counts.iter().skip(1).filter(|(count, _)| *count > 0));
    let mut counts: Vec<String> = first
        .map(|(count, word)| format!("{} {word}", grouped(*count)))
        .collect();
    if summary.deferred > 0 {
        counts.push(counted(summary.deferred, "deferral"));
    }
    let per_second = summary.delivered as f64 / summary.elapsed.as_secs_f64().max(0.001);
    format!(
        "{} in {} ({per_second:.1}/s)",
        counts.join(", "),
        duration::human(summary.elapsed)
    )
}

/// A stopped worker has done its work, unless it was to drain: then it has to run again.
pub fn exit(summary: &Summary, signal: Option<StopSignal>, drains: bool) -> Exit {
    match (signal, summary.left_work) {
        (Some(StopSignal::Interrupt), _) => Exit::Interrupted,
        (_, Some(LeftWork::PartitionsStopped)) => Exit::NeedsAttention,
        (_, Some(_)) if drains => Exit::TryLater,
        _ if summary.dead + summary.in_doubt > 0 => Exit::NeedsAttention,
        _ => Exit::Done,
    }
}
