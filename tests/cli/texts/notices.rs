//! What a worker prints while it works, and the closing lines.

use super::heading;
use mailq::commands::{enqueue, time, worker};
use mailq::domain::ids::RunId;
use mailq::domain::rate::Rate;
use mailq::domain::records::{RateInForce, Tally};
use mailq::engine::breaker;
use mailq::engine::enqueue::EnqueueReport;
use mailq::engine::worker::{Notice, Summary};
use std::time::{Duration, SystemTime};

pub fn texts() -> String {
    let mut text = heading("Notices of a worker");
    for notice in notices() {
        text += &match worker::notice_line(&notice) {
            // In the zone of the host.
            Some(line) => format!("{}\n", line.replace(&time::local_time(later()), "{{time}}")),
            None => String::new(),
        };
    }
    text += &heading("Closing lines");
    for line in closing_lines() {
        text += &format!("{line}\n");
    }
    text
}

fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

fn notices() -> Vec<Notice> {
    let what = || "relay `smtp.example.net:587`".to_string();
    let opened = breaker::Notice::Opened {
        what: what(),
        words: "no answer within 30 s".into(),
    };
    let refused = breaker::Notice::LoginRefused {
        what: "relay `smtp.example.com:587`".into(),
        words: "535 5.7.8 authentication failed".into(),
        problem: mailq::smtp::LoginProblem::Refused,
    };
    let connections = breaker::Notice::Connections {
        what: "relay `smtp.example.com:587`".into(),
        allowed: 3,
        words: "421 4.7.0 too many connections".into(),
    };
    let slowed = breaker::Notice::Slowed {
        what: "site `example.com`".into(),
        rate: Rate::about(9.7),
        words: "451 4.7.1 too much mail".into(),
    };
    let full_speed = breaker::Notice::FullSpeed {
        what: "site `example.com`".into(),
    };
    let closed = breaker::Notice::Closed {
        what: what(),
        after: Duration::from_secs(95),
    };
    let rate = |rate: &str, source: &str| RateInForce {
        rate: rate.parse().unwrap(),
        burst: 1,
        host: "host-1".into(),
        source: source.into(),
        at: "2026-12-01T09:00:00Z".into(),
    };
    let notices = vec![
        Notice::Breaker(opened),
        Notice::Breaker(refused),
        Notice::Breaker(connections),
        Notice::Breaker(slowed),
        Notice::Breaker(full_speed),
        Notice::Breaker(closed),
        Notice::RateChanged {
            old: rate("30/min", "mailq.toml:4"),
            new: rate("60/min", "--rate"),
        },
        Notice::PartitionStopped {
            partition: "send/3".into(),
            why: "record 7 of send/3 cannot be read: checksum does not match".into(),
        },
        Notice::QueueTrouble("queue `q.db` is not available: database is locked".into()),
        Notice::Waiting { until: later() },
        Notice::OutsideWindows {
            next: jiff::Timestamp::try_from(later())
                .unwrap()
                .to_zoned(jiff::tz::TimeZone::UTC),
        },
        Notice::QuotaUsedUp {
            relay: "smtp.example.com:587".into(),
            until: later(),
        },
        Notice::NewerDayReserved {
            relay: "smtp.example.com:587".into(),
            day: later(),
        },
        Notice::HeldBy {
            workers: [
                "mail-1/4711/03af",
                "mail-1/4712/9b01",
                "mail-2/88/0001",
                "mail-2/89/0002",
            ]
            .map(String::from)
            .to_vec(),
        },
        Notice::Share {
            limit: Rate::per_minute(30),
            share: Some(Rate::per_minute(10)),
        },
        Notice::NoShare {
            of: "the rate".into(),
            limit: Rate::per_minute(3),
            workers: 5,
        },
    ];
    notices.iter().for_each(is_known);
    notices
}

/// A new notice does not compile here until it stands above as well.
fn is_known(notice: &Notice) {
    match notice {
        Notice::Breaker(_)
        | Notice::RateChanged { .. }
        | Notice::PartitionStopped { .. }
        | Notice::QueueTrouble(_)
        | Notice::Waiting { .. }
        | Notice::OutsideWindows { .. }
        | Notice::QuotaUsedUp { .. }
        | Notice::NewerDayReserved { .. }
        | Notice::HeldBy { .. }
        | Notice::Share { .. }
        | Notice::NoShare { .. } => {}
    }
}

fn closing_lines() -> Vec<String> {
    let summary = Summary {
        delivered: 9_980,
        deferred: 31,
        bounced: 12,
        dead: 7,
        in_doubt: 1,
        elapsed: Duration::from_secs(332),
        ..Summary::default()
    };
    let tally = Tally {
        recipients: 10_000,
        enqueued: 9_990,
        duplicates: 6,
        invalid: 3,
        suppressed: 1,
        ..Tally::default()
    };
    let id = RunId::new("spring", "2026-12");
    let report = EnqueueReport::new(&id, tally, Duration::from_secs(2));
    let rejected = EnqueueReport {
        rejected_file: Some("spring.rejected.csv".into()),
        ..report.clone()
    };
    let known = EnqueueReport {
        already_enqueued: true,
        changed: vec!["recipients".into(), "templates".into()],
        ..report.clone()
    };
    vec![
        worker::closing_line(&summary),
        worker::closing_line(&Summary::default()),
        enqueue::closing_line(&report, false),
        enqueue::closing_line(&rejected, false),
        enqueue::closing_line(&report, true),
        enqueue::closing_line(&known, false),
        enqueue::known_line(&known, "sent"),
    ]
}
