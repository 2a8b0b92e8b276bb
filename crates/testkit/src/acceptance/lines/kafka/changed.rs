//! The line `changed` over one broker.

use super::{Queue, SHORT_SESSION, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::SHORT_RETRIES;
use crate::acceptance::lines::changed::change_and_kill;
use crate::acceptance::report::Report;
use std::time::Duration;

/// A killed member keeps its partitions for a session, and the next process has to join the group before it sends.
const LONGEST_EARLY: Duration = Duration::from_secs(10);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let queue = Queue::new(one(), SHORT_SESSION);
    let project = queue.project(setting, SHORT_RETRIES)?;
    change_and_kill(setting, project, LONGEST_EARLY, report)
}
