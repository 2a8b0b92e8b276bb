//! 30/min over up to five workers that come, go and are killed, and 1200/min over three with all of the backlog in one
//! partition, both at the same time. Counted where MAIL FROM arrives.

use super::{Campaign, Queue, SHORT_SESSION, one};
use crate::acceptance::lines::kill::CLEAN_STOP;
use crate::acceptance::lines::{SHORT_RETRIES, keeping, wait_for_accepted};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::acceptance::{Line, Setting};
use anyhow::Context;
use ring::digest;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// Most workers at one time.
const PLACES: usize = 5;
/// Messages a minute.
const SLOW: u64 = 30;
/// Messages a minute.
const FAST: u64 = 1200;
/// Rows of a campaign that go to one partition.
const CHUNK: u32 = 500;
/// Of the topic `send`.
const PARTITIONS: u64 = 12;
/// Each worker reads all commits so often.
const READ_EVERY: Duration = Duration::from_millis(500);
/// A division of the rate applies so long after the state that it was computed from.
const APPLIES_AFTER: Duration = Duration::from_secs(3);
/// 7 s, because a change takes both times twice: work that has ended counts until `APPLIES_AFTER` has passed and the next
/// read sees it, and the division without it is read and applies as long after that.
const SETTLES: Duration = APPLIES_AFTER.saturating_add(READ_EVERY).saturating_mul(2);
/// In seconds: ends and begins of workers come about so often.
const CHANGE_EVERY: u64 = 45;

/// From `since` to `until` so many shares may differ from what they were, or one is nobody's.
struct Unsettled {
    since: Instant,
    until: Instant,
    workers: u64,
    killed: bool,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let parts: [(&str, Line); 2] = [("30/min", changing), ("1200/min, one partition", lopsided)];
    std::thread::scope(|scope| {
        let start = |(name, part): (&'static str, Line)| {
            let running = scope.spawn(move || {
                let mut own = Report::default();
                if let Err(error) = part(setting, &mut own) {
                    let error: anyhow::Error = error;
                    own.fail(format!("{error:#}"));
                }
                own
            });
            (name, running)
        };
        for (name, running) in parts.map(start) {
            match running.join() {
                Ok(own) => report.join(name, own),
                Err(_) => report.fail(format!("{name}: the thread panicked")),
            }
        }
    });
    Ok(())
}

fn changing(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    // A chunk in each partition, so that every worker has something to send.
    let population = CHUNK * u32::try_from(PARTITIONS)?;
    let campaign = Campaign {
        name: "rate",
        population,
        gates: 1,
        reply_delay: Duration::ZERO,
    };
    let queue = Queue::new(one(), SHORT_SESSION);
    queue.with_campaign(setting, &campaign, |project, server| {
        let unsettled = come_and_go(setting, project, server)?;
        check(server, SLOW, &unsettled, report);
        verify(project, report)
    })
}

fn worker(project: &Project, server: &Server, rate: u64, place: usize) -> anyhow::Result<Process> {
    let rate = format!("{rate}/min");
    let url = server.url(0);
    let arguments = ["send", "--rate", &rate, "--relay", &url];
    Process::start(project, &format!("worker{place}"), &arguments)
}

fn come_and_go(
    setting: &Setting,
    project: &Project,
    server: &Server,
) -> anyhow::Result<Vec<Unsettled>> {
    let mut random = setting.random();
    let mut places: [Option<Process>; PLACES] = Default::default();
    for (number, place) in places.iter_mut().enumerate() {
        *place = Some(worker(project, server, SLOW, number)?);
    }
    wait_for_accepted(server, 1)?;
    let began_at = Instant::now();
    let mut unsettled = vec![Unsettled {
        since: began_at,
        until: began_at + SETTLES,
        workers: PLACES as u64,
        killed: false,
    }];
    for round in 0..setting.count / CHANGE_EVERY {
        let at =
            began_at + Duration::from_secs(CHANGE_EVERY * round + random.u64(10..CHANGE_EVERY));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let since = Instant::now();
        let number = random.usize(..PLACES);
        let workers = places.iter().flatten().count() as u64;
        let mut killed = false;
        match places[number].take() {
            None => places[number] = Some(worker(project, server, SLOW, number)?),
            Some(mut leaving) if round % 2 == 0 || workers == 1 => {
                killed = true;
                leaving.kill()?;
                places[number] = Some(worker(project, server, SLOW, number)?);
            }
            Some(mut leaving) => {
                leaving.signal(Signal::TERM)?;
                leaving.wait_for_success(CLEAN_STOP)?;
            }
        }
        let session = if killed {
            SHORT_SESSION
        } else {
            Duration::ZERO
        };
        unsettled.push(Unsettled {
            since,
            until: Instant::now() + session + SETTLES,
            workers: workers + 1,
            killed,
        });
    }
    let end = began_at + Duration::from_secs(setting.count);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    stop(places.iter_mut().flatten())?;
    Ok(unsettled)
}

fn stop<'a>(workers: impl Iterator<Item = &'a mut Process>) -> anyhow::Result<()> {
    let workers: Vec<&mut Process> = workers.collect();
    let mut ended = Vec::new();
    for worker in workers {
        worker.signal(Signal::TERM)?;
        ended.push(worker);
    }
    for worker in ended {
        worker.wait_for_success(CLEAN_STOP)?;
    }
    Ok(())
}

fn lopsided(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let chunks = setting.count * FAST / 60 / u64::from(CHUNK) + 2;
    let server = Server::accepting(1, CHUNK)?;
    let queue = Queue::new(one(), SHORT_SESSION);
    keeping(queue.project(setting, SHORT_RETRIES)?, |project| {
        let csv = project.campaign("one", 0, CHUNK)?;
        let dry = project.json(&["enqueue", &csv, "--dry-run"])?;
        let fingerprint = dry["run"].as_str().context("no run")?;
        let runs = (0..).map(|n| format!("run{n}"));
        let chosen = runs.filter(|run| place("one", run, fingerprint) == 0);
        for run in chosen.take(usize::try_from(chunks)?) {
            project.call(&["enqueue", &csv, "--run", &run])?;
        }
        let began_at = Instant::now();
        let mut workers = (0..3)
            .map(|place| worker(project, &server, FAST, place))
            .collect::<anyhow::Result<Vec<_>>>()?;
        wait_for_accepted(&server, 1)?;
        let first_at = Instant::now();
        let unsettled = [Unsettled {
            since: began_at,
            until: first_at + SETTLES,
            workers: 3,
            killed: false,
        }];
        let end = first_at + Duration::from_secs(setting.count);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let status = project.json(&["status"])?;
        report.figure("workers, says status", &status["workers"]);
        stop(workers.iter_mut())?;
        check(&server, FAST, &unsettled, report);
        verify(project, report)
    })
}

/// The partition that the only chunk of a run goes to.
fn place(campaign: &str, run: &str, fingerprint: &str) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [campaign, run, fingerprint] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let digest = hash.finish();
    let first = digest.as_ref().iter().take(8);
    first.fold(0, |number: u64, byte| number << 8 | u64::from(*byte)) % PARTITIONS
}

fn verify(project: &Project, report: &mut Report) -> anyhow::Result<()> {
    let verified = project.json(&["verify"])?;
    let findings = &verified["findings"];
    report.check(verified["ok"] == true, format_args!("verify: {findings}"));
    Ok(())
}

fn check(server: &Server, per_minute: u64, unsettled: &[Unsettled], report: &mut Report) {
    let times = server.ledger().begun_at();
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return report.fail("nothing was sent");
    };
    report.figure("MAIL FROM counted", times.len());
    report.figure("times that workers came or went", unsettled.len());
    let (mut most, mut most_settled, mut above) = (0, 0, 0);
    for (place, from) in times.iter().enumerate() {
        let until = *from + MINUTE;
        let count = times[place..].iter().take_while(|at| **at < until).count() as u64;
        let changes = unsettled
            .iter()
            .filter(|u| u.since < until && u.until > *from);
        let changed: u64 = changes.map(|change| change.workers).sum();
        most = most.max(count);
        above = above.max(count.saturating_sub(per_minute + changed));
        if changed == 0 {
            most_settled = most_settled.max(count);
        }
    }
    report.figure("most in any 60 s", most);
    report.expect("above the bound in any 60 s", above, 0);
    report.at_most("most in any settled 60 s", most_settled, per_minute);
    let lasted = (*last - *first).as_secs_f64();
    let a_second = per_minute as f64 / 60.0;
    // A killed worker's share, of those at work, until its session ends and the others have taken it.
    let idle: f64 = unsettled
        .iter()
        .filter(|u| u.killed)
        .map(|u| (u.until - u.since).as_secs_f64() / (u.workers - 1) as f64)
        .sum();
    let possible = (lasted - idle) * a_second;
    let used = (times.len() - 1) as f64 / possible;
    // In a short run one message weighs.
    let least = if lasted < 300.0 { 0.9 } else { 0.98 };
    report.at_least("share of the rate used", used, least);
}
