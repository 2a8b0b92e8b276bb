//! The lanes of each worker as lines for people.

use crate::commands::output::{Align, Table};
use crate::commands::text::{grouped, plain};
use crate::commands::time::local;
use crate::engine::lane_rows::{BreakerState, LaneRow, WorkerLanes};

/// Characters of a reply that are shown.
const REPLY: usize = 60;

const COLUMNS: [(&str, Align); 10] = [
    ("WORKER", Align::Left),
    ("RELAY", Align::Left),
    ("SITE", Align::Left),
    ("WAITING", Align::Right),
    ("PARKED", Align::Right),
    ("ALLOWED", Align::Right),
    ("USED", Align::Right),
    ("CONNECTIONS", Align::Right),
    ("BREAKER", Align::Left),
    ("LAST REPLY", Align::Left),
];

/// Without line ends.
pub fn lines(workers: &[WorkerLanes]) -> Vec<String> {
    let mut table = Table::new(&COLUMNS);
    let mut notes = Vec::new();
    for worker in workers {
        let name = plain(&worker.worker, 40);
        for lane in &worker.lanes {
            table.row(cells(&name, lane));
        }
        if let Some(why) = &worker.unreadable {
            let why = plain(why, 100);
            notes.push(format!(
                "worker `{name}` is of another version, and its lanes cannot be read: {why}"
            ));
        }
    }
    let is_empty = workers.iter().all(|worker| worker.lanes.is_empty());
    let mut lines = match (is_empty, notes.is_empty()) {
        (true, true) => vec!["no lanes: no running worker has mail, or had any".to_string()],
        // Those that cannot be read may have mail.
        (true, false) => Vec::new(),
        (false, _) => table.lines(),
    };
    lines.append(&mut notes);
    lines
}

fn cells(worker: &str, lane: &LaneRow) -> Vec<String> {
    let or_none = |text: &str, most| match text {
        "" => "-".to_string(),
        text => plain(text, most),
    };
    let reply = match (&lane.last_reply, &lane.last_reply_at) {
        (Some(reply), Some(at)) => format!("{} {}", local(at), plain(reply, REPLY)),
        _ => "-".to_string(),
    };
    let breaker = match lane.breaker {
        BreakerState::Closed => "closed",
        BreakerState::RelayOpen => "relay open",
        BreakerState::SiteOpen => "site open",
    };
    vec![
        worker.to_string(),
        or_none(&lane.relay, 40),
        or_none(&lane.site, 40),
        grouped(lane.waiting as u64),
        grouped(lane.parked as u64),
        plain(&lane.rate_allowed, 20),
        format!("{:.1}/s", lane.rate_used),
        grouped(lane.connections as u64),
        breaker.to_string(),
        reply,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_a_line() {
        let lane = LaneRow {
            relay: "smtp.example.net:587".to_string(),
            site: "gmail.com".to_string(),
            waiting: 1_200,
            parked: 0,
            rate_allowed: "30/min".to_string(),
            rate_used: 0.5,
            connections: 2,
            breaker: BreakerState::SiteOpen,
            last_reply: None,
            last_reply_at: None,
        };
        let worker = |lanes, unreadable| WorkerLanes {
            worker: "host/1/a".to_string(),
            lanes,
            unreadable,
        };
        let lines = lines(&[
            worker(vec![lane], None),
            worker(Vec::new(), Some("a field is missing".to_string())),
        ]);
        assert_eq!(
            lines,
            [
                "WORKER    RELAY                 SITE       WAITING  PARKED  ALLOWED   USED  CONNECTIONS  BREAKER    LAST REPLY",
                "host/1/a  smtp.example.net:587  gmail.com    1,200       0   30/min  0.5/s            2  site open  -",
                "worker `host/1/a` is of another version, and its lanes cannot be read: a field is missing",
            ]
        );
        let unreadable = [worker(Vec::new(), Some("a field is missing".to_string()))];
        assert_eq!(super::lines(&unreadable), lines[2..]);
        let none = super::lines(&[worker(Vec::new(), None)]);
        assert_eq!(none, ["no lanes: no running worker has mail, or had any"]);
        assert_eq!(super::lines(&[]), none);
    }
}
