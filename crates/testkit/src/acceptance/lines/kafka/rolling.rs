//! One to five workers on one broker: one after the other is stopped cleanly, and started again, or another beside it.

use super::{Campaign, Queue, SHORT_SESSION, one};
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::lines::kill::CLEAN_STOP;
use crate::acceptance::lines::wait_for_accepted;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use anyhow::bail;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const MOST_WORKERS: usize = 5;
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// A change every 1 to 6 s, up to 100 messages a second from each worker.
const RECIPIENTS_PER_CHANGE: u64 = 1200;
const DRAIN: Duration = Duration::from_secs(900);

/// A place for each worker, and its gate.
type Places = [Option<Process>; MOST_WORKERS];

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from((setting.count + 3) * RECIPIENTS_PER_CHANGE)?;
    let queue = Queue::new(one(), SHORT_SESSION);
    let campaign = Campaign {
        name: "rolling",
        population,
        gates: MOST_WORKERS,
        reply_delay: REPLY_DELAY,
    };
    queue.with_campaign(setting, &campaign, |project, server| {
        let mut places = changes(setting, project, server, report)?;
        let left = server.ledger().left();
        report.figure("left after the last change", left);
        server.slow(Duration::ZERO);
        for worker in places.iter_mut().flatten() {
            worker.wait_for_success(DRAIN)?;
        }
        check_all_delivered(project, "rolling", server, 0, report)?;
        Ok(())
    })
}

fn changes(
    setting: &Setting,
    project: &Project,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<Places> {
    let mut random = setting.random();
    let mut places = Places::default();
    let mut stops = 0;
    let mut longest = Duration::ZERO;
    for place in [0, 1, 2] {
        places[place] = Some(start(project, server, place)?);
    }
    wait_for_accepted(server, 1)?;
    for _ in 0..setting.count {
        std::thread::sleep(Duration::from_millis(random.u64(1000..6000)));
        let place = random.usize(..MOST_WORKERS);
        let at_work = places.iter().flatten().count();
        if let Some(mut worker) = places[place].take() {
            longest = longest.max(stop(&mut worker)?);
            stops += 1;
            // Half of the times it is a restart, half of the times one fewer.
            if at_work == 1 || random.bool() {
                places[place] = Some(start(project, server, place)?);
            }
        } else {
            places[place] = Some(start(project, server, place)?);
        }
    }
    report.figure("changes", setting.count);
    report.figure("clean stops among them", stops);
    report.figure("longest stop", format!("{longest:.1?}"));
    Ok(places)
}

fn start(project: &Project, server: &Server, place: usize) -> anyhow::Result<Process> {
    Process::draining(project, &format!("worker{place}"), &server.url(place), &[])
}

fn stop(worker: &mut Process) -> anyhow::Result<Duration> {
    let began_at = Instant::now();
    worker.signal(Signal::TERM)?;
    let status = worker.wait(CLEAN_STOP)?;
    if !matches!(status.code(), Some(0 | 75)) {
        bail!("SIGTERM: it ended with {status}: {}", worker.last_words());
    }
    Ok(began_at.elapsed())
}
