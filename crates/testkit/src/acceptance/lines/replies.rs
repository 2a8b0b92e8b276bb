//! Every kind of reply in one run: each recipient ends where its replies put it, and no connection is opened without
//! need.

use super::{SHORT_RETRIES, keeping};
use crate::acceptance::Setting;
use crate::acceptance::account::{Told, check_counts, events};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Answer, Ledger, Recipient, Server};
use std::time::Duration;

const CONNECTIONS: u64 = 10;
const LONGEST: Duration = Duration::from_secs(300);
/// The first and `[retry] tries`.
const ATTEMPTS: u32 = 4;

/// A kind of recipient.
struct Kind {
    name: &'static str,
    /// How many of 100. After each 421 the relay is left alone for seconds, so there are few.
    share: u32,
    /// To the attempt of this number, from 0.
    answer: fn(u32) -> Answer,
    end: &'static str,
    /// What the relay sees of them.
    attempts: u32,
}

#[rustfmt::skip]
const KINDS: [Kind; 10] = [
    kind(60, "accepted", |_| Answer::Accept, "delivered", 1),
    kind(6, "550 5.1.1", |_| Answer::AtRecipient("550 5.1.1 no such user"), "bounced", 1),
    kind(6, "452 4.2.2", |_| Answer::AtRecipient("452 4.2.2 mailbox full"), "dead", ATTEMPTS),
    kind(6, "552 5.2.2", |_| Answer::AtRecipient("552 5.2.2 over quota"), "dead", ATTEMPTS),
    kind(6, "451", |_| Answer::AtRecipient("451 4.2.0 mailbox busy"), "dead", ATTEMPTS),
    kind(6, "451 twice", |n| first(n, 2, Answer::AtRecipient("451 4.2.0 mailbox busy")), "delivered", 3),
    kind(3, "550 5.7.1 after DATA", |_| Answer::AfterDot("550 5.7.1 content refused"), "dead", 1),
    kind(3, "drop after the dot", |_| Answer::DropAfterDot, "in_doubt", ATTEMPTS),
    kind(1, "421 twice", |n| first(n, 2, Answer::Goodbye), "delivered", 3),
    kind(3, "junk once", |n| first(n, 1, Answer::Junk), "delivered", 2),
];

const fn kind(
    share: u32,
    name: &'static str,
    answer: fn(u32) -> Answer,
    end: &'static str,
    attempts: u32,
) -> Kind {
    Kind {
        name,
        share,
        answer,
        end,
        attempts,
    }
}

/// This answer to the first attempts, then taken.
fn first(attempt: u32, attempts: u32, answer: Answer) -> Answer {
    if attempt < attempts {
        answer
    } else {
        Answer::Accept
    }
}

fn kind_of(recipient: u32) -> &'static Kind {
    let whole: u32 = KINDS.iter().map(|kind| kind.share).sum();
    let mut place = recipient % whole;
    for kind in &KINDS {
        if place < kind.share {
            return kind;
        }
        place -= kind.share;
    }
    &KINDS[0]
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let script = |recipient, attempt| (kind_of(recipient).answer)(attempt);
    let server = Server::start(1, population, Box::new(script))?;
    keeping(Project::new(setting, SHORT_RETRIES)?, |project| {
        let csv = project.campaign("replies", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let connections = CONNECTIONS.to_string();
        let more = ["--connections", connections.as_str()];
        let mut worker = Process::draining(project, "send", &server.url(0), &more)?;
        let code = worker.wait(LONGEST)?.code().unwrap_or(-1);
        // Dead letters and doubts need a person.
        report.expect("send exits", code, 1);
        let told = events(project, population, &[])?;
        check_ends(&server.ledger(), &told, report);
        check_connections(&server.ledger(), report);
        let mut wanted: Vec<(&str, u64)> = Vec::new();
        for end in ["delivered", "bounced", "dead", "in_doubt"] {
            let those = (0..population).filter(|r| kind_of(*r).end == end).count();
            wanted.push((end, those as u64));
            report.figure(end, those);
        }
        check_counts(project, "replies", &wanted, report)
    })
}

fn check_ends(ledger: &Ledger, told: &[Told], report: &mut Report) {
    for kind in &KINDS {
        let those = (0..).zip(ledger.recipients.iter().zip(told));
        let those = those.filter(|(number, _)| kind_of(*number).name == kind.name);
        let wrong: Vec<_> = those
            .filter(|(_, (seen, told))| !ended_right(kind, seen, told))
            .collect();
        if let Some((number, example)) = wrong.first() {
            let Kind {
                name,
                end,
                attempts,
                ..
            } = kind;
            let count = wrong.len();
            report.fail(format!(
                "{name}: {count} did not end {end} after {attempts} attempts: u{number}, {example:?}"
            ));
        }
    }
}

fn check_connections(ledger: &Ledger, report: &mut Report) {
    let opened = ledger.connections.iter().sum();
    report.figure("421s, hang-ups and junk", ledger.broken);
    report.at_most("connections opened", opened, CONNECTIONS + ledger.broken);
    report.figure("MAIL FROM counted", ledger.transactions.len());
}

fn ended_right(kind: &Kind, seen: &Recipient, told: &Told) -> bool {
    let ends = (told.delivered, told.bounced, told.dead);
    let ended = match kind.end {
        "delivered" => ends == (1, 0, 0),
        "bounced" => ends == (0, 1, 0),
        "dead" => ends == (0, 0, 1),
        _ => ends == (0, 0, 0) && told.in_doubt > 0,
    };
    let taken = u32::from(kind.end == "delivered");
    ended && seen.attempts == kind.attempts && seen.accepted == taken
}
