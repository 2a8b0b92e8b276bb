//! The queue is removed, replaced or renamed under a process that sends, and another one begins with the file that is
//! there then: the first one notices, and nobody gets a copy from it after that.

use super::{MAX_UNCOMMITTED, keeping, wait_for_flow};
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Ledger, Server};
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RECIPIENTS: u32 = 400;
/// 20 connections then need four seconds for a list.
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// What is promised.
const NOTICES_WITHIN: Duration = Duration::from_secs(1);
/// A process that has noticed still leaves the queue's folder.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(120);
/// Of the process whose queue goes, and of the one after it.
const FIRST: usize = 0;
const SECOND: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    FolderRemoved,
    Removed,
    Replaced,
    Renamed,
}

const LOSSES: [Loss; 4] = [
    Loss::FolderRemoved,
    Loss::Removed,
    Loss::Replaced,
    Loss::Renamed,
];

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let mut random = setting.random();
    let mut worst = Seen::default();
    for round in 0..setting.count {
        let loss = LOSSES[(round % 4) as usize];
        // So that each loss meets `run` and `send` in turn.
        let by_run = (round / 4) % 2 == 0;
        let server = Server::accepting(2, RECIPIENTS)?;
        server.slow(REPLY_DELAY);
        let moment = Duration::from_secs_f64(random.f64());
        let seen = keeping(Project::new(setting, "")?, |project| {
            one_loss(project, &server, (loss, by_run), moment)
                .with_context(|| format!("round {round}, {loss:?}, by `run`: {by_run}"))
        })?;
        worst.take(&seen);
    }
    report.figure("losses", setting.count);
    report.figure(
        "longest until the end",
        format!("{:.1?}", worst.ended_after),
    );
    report.figure("most with the relay at the loss", worst.in_flight);
    report.expect("taken from the first after it noticed", worst.late, 0);
    report.expect("reached by nobody", worst.unreached, 0);
    report.at_most(
        "most second copies where the queue came back",
        worst.copies_after_return,
        MAX_UNCOMMITTED,
    );
    Ok(())
}

/// The worst of all rounds.
#[derive(Default)]
struct Seen {
    ended_after: Duration,
    in_flight: usize,
    /// Messages of the first process that the relay took later than the promise.
    late: usize,
    unreached: usize,
    copies_after_return: u64,
}

impl Seen {
    fn take(&mut self, other: &Seen) {
        self.ended_after = self.ended_after.max(other.ended_after);
        self.in_flight = self.in_flight.max(other.in_flight);
        self.late += other.late;
        self.unreached += other.unreached;
        self.copies_after_return = self.copies_after_return.max(other.copies_after_return);
    }
}

fn one_loss(
    project: &Project,
    server: &Server,
    (loss, by_run): (Loss, bool),
    moment: Duration,
) -> anyhow::Result<Seen> {
    let csv = project.campaign("gone", 0, RECIPIENTS)?;
    let enqueue = ["enqueue", csv.as_str()];
    let gates = [server.url(FIRST), server.url(SECOND)];
    let mut first = if by_run {
        sending(project, "first", "run", &gates[FIRST])?
    } else {
        project.call(&enqueue)?;
        sending(project, "first", "send", &gates[FIRST])?
    };
    if !wait_for_flow(server, FIRST, DRAIN) {
        bail!("no mail flows: {}", first.last_words());
    }
    std::thread::sleep(moment);
    let folder = project.path().join(".mailq");
    let lost_at = Instant::now();
    lose(loss, &folder)?;
    let status = first.wait(NOTICES_WITHIN + ENDS_WITHIN)?;
    let ended_after = lost_at.elapsed();
    let words = first.words();
    if status.code() != Some(75) || !words.contains("is no longer the file") {
        bail!("the first ended with {status}: {words}");
    }
    if loss == Loss::Renamed {
        fs::rename(folder.join("kept.db"), folder.join("queue.db"))?;
    } else {
        project.call(&enqueue)?;
    }
    server.slow(Duration::ZERO);
    Process::draining(project, "second", &gates[SECOND], &[])?.wait_for_success(DRAIN)?;
    let seen = look(&server.ledger(), lost_at);
    Ok(Seen {
        ended_after,
        copies_after_return: match loss {
            Loss::Renamed => copies(&server.ledger()),
            _ => 0,
        },
        ..seen
    })
}

fn sending(project: &Project, name: &str, verb: &str, relay: &str) -> anyhow::Result<Process> {
    let mut arguments = vec![verb];
    if verb == "run" {
        arguments.push("gone.toml");
    }
    arguments.extend(["--rate", "unlimited", "--relay", relay]);
    Process::start(project, name, &arguments)
}

fn lose(loss: Loss, folder: &Path) -> anyhow::Result<()> {
    let queue = folder.join("queue.db");
    match loss {
        Loss::FolderRemoved => fs::remove_dir_all(folder)?,
        Loss::Removed => fs::remove_file(&queue)?,
        Loss::Replaced => {
            let other = folder.join("other.db");
            fs::File::create(&other)?;
            fs::rename(other, &queue)?;
        }
        Loss::Renamed => fs::rename(&queue, folder.join("kept.db"))?,
    }
    Ok(())
}

fn look(ledger: &Ledger, lost_at: Instant) -> Seen {
    let by_first = ledger.transactions.iter().filter(|t| t.gate == FIRST);
    let (mut late, mut in_flight) = (0, 0);
    for transaction in by_first {
        let Some(accepted_at) = transaction.accepted_at else {
            continue;
        };
        if transaction.begun_at < lost_at && accepted_at >= lost_at {
            in_flight += 1;
        }
        late += usize::from(accepted_at > lost_at + NOTICES_WITHIN);
    }
    let unreached = ledger.recipients.iter().filter(|one| one.accepted == 0);
    Seen {
        late,
        in_flight,
        unreached: unreached.count(),
        ..Seen::default()
    }
}

/// Mails beyond the first of each recipient.
fn copies(ledger: &Ledger) -> u64 {
    let recipients = ledger.recipients.iter();
    recipients
        .map(|one| u64::from(one.accepted.saturating_sub(1)))
        .sum()
}
