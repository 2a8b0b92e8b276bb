//! A worker that is stopped while its relay is slow, on Kafka.

use super::{LONG_SESSION, Queue, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::slow_stop::run_with;
use crate::acceptance::report::Report;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    run_with(setting, report, &|setting| {
        Queue::new(one(), LONG_SESSION).project(setting, "")
    })
}
