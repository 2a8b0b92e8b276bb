//! A status as lines for people.

use crate::commands::output::{Align, Table, fields};
use crate::commands::text::{counted, grouped, plain};
use crate::commands::time::{estimate, local};
use crate::domain::duration;
use crate::engine::account::status::{PartitionStatus, TierStatus, WorkerStatus};
use crate::engine::account::{CampaignRow, State, Status};

/// Workers and partitions that are named one by one.
const NAMED_WORKERS: usize = 4;

/// Without line ends. `outside`: until when no mail may leave, where that is so.
pub fn lines(status: &Status, outside: Option<String>) -> Vec<String> {
    let mut pairs = vec![("queue", status.queue.clone())];
    let tiers = status.retry.iter().filter(|tier| tier.messages > 0);
    pairs.extend(tiers.map(|one| ("retry", tier(one))));
    let unreadable = status.unreadable.iter();
    pairs.extend(unreadable.map(|line| ("damaged", plain(line, 200))));
    pairs.push(("dlq", letters(status.dlq)));
    pairs.push(("rate", rate(status)));
    pairs.push(("lag", lag(status, outside.is_some())));
    pairs.extend(outside.map(|outside| ("windows", outside)));
    pairs.push(("workers", workers(&status.workers, status.lag)));
    if status.lag > 0 && !status.workers.is_empty() {
        pairs.extend(behind(&status.partitions).map(|partitions| ("chunks", partitions)));
    }
    let mut lines = fields(&pairs);
    let below_queue = lines.split_off(1);
    lines.push(String::new());
    match status.campaigns.is_empty() {
        true => lines.push("no campaigns: `mailq enqueue` adds one".to_string()),
        false => lines.extend(campaigns(&status.campaigns)),
    }
    lines.push(String::new());
    lines.extend(below_queue);
    lines
}

/// Columns that are 0 in every row are left out.
fn campaigns(rows: &[CampaignRow]) -> Vec<String> {
    type Count = fn(&CampaignRow) -> u64;
    let counts: [(&'static str, bool, Count); 10] = [
        ("ENQUEUED", true, |row| row.enqueued),
        ("DELIVERED", true, |row| row.delivered),
        ("BOUNCED", false, |row| row.bounced),
        ("DEAD", false, |row| row.dead),
        ("SUPPRESSED", false, |row| row.suppressed),
        ("EXPIRED", false, |row| row.expired),
        ("CANCELLED", false, |row| row.cancelled),
        ("IN DOUBT", false, |row| row.in_doubt),
        ("RETRYING", true, |row| row.retrying),
        ("PENDING", true, |row| row.pending),
    ];
    let shown: Vec<_> = counts
        .into_iter()
        .filter(|(_, always, count)| *always || rows.iter().any(|row| count(row) > 0))
        .collect();
    let mut columns = vec![
        ("CAMPAIGN", Align::Left),
        ("RUN", Align::Left),
        ("STATE", Align::Left),
    ];
    columns.extend(shown.iter().map(|(name, ..)| (*name, Align::Right)));
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = vec![plain(&row.campaign, 40), plain(&row.run, 24), state(row)];
        cells.extend(shown.iter().map(|(.., count)| grouped(count(row))));
        table.row(cells);
    }
    table.lines()
}

fn state(row: &CampaignRow) -> String {
    match (row.state, &row.not_before) {
        (State::Paused, _) if row.has_expired => "paused, expired".to_string(),
        _ if row.has_expired => "expired".to_string(),
        (State::Enqueuing, _) => "enqueuing".to_string(),
        (State::Scheduled, Some(at)) => format!("scheduled until {}", local(at)),
        (State::Scheduled, None) => "scheduled".to_string(),
        (State::Sending, _) if row.waits_for_turn => "waiting for its turn".to_string(),
        (State::Sending, _) => "sending".to_string(),
        (State::Paused, _) => "paused".to_string(),
        (State::Cancelled, _) => "cancelled".to_string(),
        (State::Done, _) => "done".to_string(),
    }
}

fn tier(tier: &TierStatus) -> String {
    let due = match &tier.next_due {
        Some(at) => format!(", next due {}", local(at)),
        None => String::new(),
    };
    let more = if tier.at_least { "at least " } else { "" };
    let delay = duration::parse(&tier.tier).map_or_else(|_| tier.tier.clone(), duration::human);
    format!(
        "after {delay}: {more}{}{due}",
        counted(tier.messages, "message")
    )
}

fn letters(count: u64) -> String {
    match count {
        0 => "empty".to_string(),
        count => format!("{}: see `mailq dlq list`", counted(count, "letter")),
    }
}

fn rate(status: &Status) -> String {
    match &status.rate {
        None => "not set yet: the first worker sets it".to_string(),
        Some(rate) => {
            let burst = match rate.burst {
                0 | 1 => String::new(),
                burst => format!(", burst {burst}"),
            };
            let (host, source) = (plain(&rate.host, 60), plain(&rate.source, 60));
            let at = local(&rate.at);
            format!(
                "{}{burst} for all workers, set by {source} on {host} at {at}",
                rate.rate
            )
        }
    }
}

fn lag(status: &Status, is_outside_windows: bool) -> String {
    let now = lag_now(status, is_outside_windows);
    let rows = status.campaigns.iter();
    let expired = rows.filter(|row| row.has_expired && row.state == State::Sending);
    match expired.map(CampaignRow::unfinished).sum() {
        0 => now,
        left => format!(
            "{now}; {} expired: the next worker ends them",
            counted(left, "message")
        ),
    }
}

fn lag_now(status: &Status, is_outside_windows: bool) -> String {
    match (status.lag, status.eta_seconds) {
        (0, _) => "no message can be sent now".to_string(),
        (lag, _) if is_outside_windows => {
            let messages = counted(lag, "message");
            format!("{messages} can be sent when the next window opens")
        }
        (lag, Some(seconds)) => {
            let eta = match estimate(seconds as f64) {
                Some(time) => format!("in about {time} at this rate"),
                None => "no estimate at this rate".to_string(),
            };
            format!("{} can be sent now, {eta}", counted(lag, "message"))
        }
        (lag, None) => format!("{} can be sent now", counted(lag, "message")),
    }
}

fn workers(workers: &[WorkerStatus], lag: u64) -> String {
    let named: Vec<String> = workers
        .iter()
        .take(NAMED_WORKERS)
        .map(|worker| {
            let partitions = worker.owned.iter().filter(|at| at.starts_with("send/"));
            format!(
                "{} ({})",
                plain(&worker.name, 60),
                counted(partitions.count() as u64, "partition")
            )
        })
        .collect();
    let more = match workers.len().saturating_sub(NAMED_WORKERS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match workers.len() {
        0 if lag > 0 => "none: `mailq send` starts one".to_string(),
        0 => "none".to_string(),
        count => format!("{count}: {}{more}", named.join(", ")),
    }
}

/// The partitions with the largest lag.
fn behind(partitions: &[PartitionStatus]) -> Option<String> {
    let mut behind: Vec<&PartitionStatus> = partitions.iter().filter(|one| one.lag > 0).collect();
    behind.sort_by_key(|one| std::cmp::Reverse(one.lag));
    let named: Vec<String> = behind
        .iter()
        .take(NAMED_WORKERS)
        .map(|one| {
            let owner = one.owner.as_deref().filter(|_| one.is_owned);
            let owner = plain(owner.unwrap_or("no owner"), 60);
            format!("{} {} ({owner})", one.partition, grouped(one.lag))
        })
        .collect();
    let more = match behind.len().saturating_sub(NAMED_WORKERS) {
        0 => String::new(),
        more => format!(" and {more} more partitions"),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunKey;

    fn row(state: State, pending: u64) -> CampaignRow {
        CampaignRow {
            key: RunKey(1),
            campaign: "spring".into(),
            run: "1".into(),
            state,
            not_before: None,
            waits_for_turn: false,
            has_expired: false,
            enqueued: 12_000,
            delivered: 12_000 - pending,
            bounced: 0,
            dead: 0,
            suppressed: 0,
            expired: 0,
            cancelled: 0,
            in_doubt: 0,
            retrying: 0,
            pending,
        }
    }

    fn status(campaigns: Vec<CampaignRow>) -> Status {
        Status {
            queue: "sqlite:/q.db".into(),
            campaigns,
            retry: vec![TierStatus {
                tier: "60s".into(),
                messages: 1,
                at_least: true,
                next_due: None,
            }],
            dlq: 2,
            workers: Vec::new(),
            partitions: vec![PartitionStatus {
                partition: "send/3".into(),
                owner: Some("a/1".into()),
                is_owned: false,
                committed: 4,
                end: 7,
                lag: 3,
            }],
            rate: None,
            lag: 1_500,
            eta_seconds: Some(3_000),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn prints_a_status_as_lines() {
        let status = status(vec![row(State::Sending, 1_500), row(State::Done, 0)]);
        assert_eq!(
            lines(&status, None),
            [
                "queue    sqlite:/q.db",
                "",
                "CAMPAIGN  RUN  STATE    ENQUEUED  DELIVERED  RETRYING  PENDING",
                "spring    1    sending    12,000     10,500         0    1,500",
                "spring    1    done       12,000     12,000         0        0",
                "",
                "retry    after 1m: at least 1 message",
                "dlq      2 letters: see `mailq dlq list`",
                "rate     not set yet: the first worker sets it",
                "lag      1,500 messages can be sent now, in about 50m at this rate",
                "workers  none: `mailq send` starts one",
            ]
        );
        let outside = lines(&status, Some("outside the send windows".into()));
        let lag = "lag      1,500 messages can be sent when the next window opens";
        assert!(outside.contains(&lag.to_string()), "{outside:?}");
        let chunks = behind(&status.partitions);
        assert_eq!(chunks.as_deref(), Some("send/3 3 (no owner)"));
    }
}
