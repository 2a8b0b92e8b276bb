//! Three workers on one broker; one, or all at once, are stopped (SIGSTOP) for three session timeouts and woken.

use super::{Queue, SHORT_SESSION, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::pause::{REPLY_DELAY, Sleep, stop_workers};
use crate::acceptance::lines::{SHORT_RETRIES, keeping};
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use std::time::Duration;

const WORKERS: usize = 3;
const LASTS: Duration = Duration::from_secs(18);
/// Three workers send at most 300 a second while all are awake.
const RECIPIENTS_PER_PAUSE: u64 = 8000;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    stop(setting, false, RECIPIENTS_PER_PAUSE, report)
}

pub fn run_all(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    stop(setting, true, RECIPIENTS_PER_PAUSE / 2, report)
}

fn stop(setting: &Setting, all: bool, recipients: u64, report: &mut Report) -> anyhow::Result<()> {
    let sleep = Sleep {
        workers: WORKERS,
        all,
        lasts: LASTS,
        finds_work: Duration::from_secs(20),
    };
    let population = u32::try_from((setting.count + 1) * recipients)?;
    let server = Server::accepting(WORKERS, population)?;
    server.slow(REPLY_DELAY);
    let queue = Queue::new(one(), SHORT_SESSION);
    keeping(queue.project(setting, SHORT_RETRIES)?, |project| {
        stop_workers(setting, project, &server, &sleep, report)
    })
}
