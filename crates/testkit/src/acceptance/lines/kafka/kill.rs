//! Three workers on one broker; one at a time is killed every 10 to 20 s while mail flows, and started again.

use super::{Queue, SHORT_SESSION, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::kill::{Ends, Pace, end_workers, relay};
use crate::acceptance::lines::{SHORT_RETRIES, keeping};
use crate::acceptance::report::Report;
use rustix::process::Signal;
use std::time::Duration;

const WORKERS: usize = 3;
/// A new member waits until the killed one's session ends.
const FINDS_WORK: Duration = Duration::from_secs(20);

/// How fast one worker sends, so that mail flows at each kill.
struct Speed {
    max_uncommitted: u64,
    reply_delay: Duration,
    recipients_per_kill: u64,
    others_pause: Option<Duration>,
}

/// Well below the session of the dead one, which they do not wait for.
const OTHERS_PAUSE: Duration = Duration::from_secs(4);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    // 20 connections take at most 100 a second; 18 s between kills.
    let speed = Speed {
        max_uncommitted: 64,
        reply_delay: Duration::from_millis(200),
        recipients_per_kill: 4500,
        others_pause: Some(OTHERS_PAUSE),
    };
    kill_workers(setting, &speed, 10.0..20.0, report)
}

/// One message at a time.
pub fn run_one(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let speed = Speed {
        max_uncommitted: 1,
        reply_delay: Duration::from_millis(200),
        recipients_per_kill: 250,
        others_pause: Some(OTHERS_PAUSE),
    };
    kill_workers(setting, &speed, 10.0..20.0, report)
}

pub fn run_small(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let speed = Speed {
        max_uncommitted: 64,
        reply_delay: Duration::from_millis(200),
        recipients_per_kill: 2500,
        others_pause: None,
    };
    kill_workers(setting, &speed, 5.0..9.0, report)
}

fn kill_workers(
    setting: &Setting,
    speed: &Speed,
    seconds: std::ops::Range<f64>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ends = Ends {
        signal: Signal::KILL,
        workers: WORKERS,
        max_uncommitted: speed.max_uncommitted,
        pace: Pace::Seconds(seconds),
        finds_work: FINDS_WORK,
        // Two thirds of the dead one's session.
        others_pause: speed.others_pause,
    };
    let population = u32::try_from((setting.count + 1) * speed.recipients_per_kill)?;
    let server = relay(&ends, population)?;
    server.slow(speed.reply_delay);
    let queue = Queue::new(one(), SHORT_SESSION);
    keeping(queue.project(setting, SHORT_RETRIES)?, |project| {
        end_workers(setting, project, &server, &ends, report)
    })
}
