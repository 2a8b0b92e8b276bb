//! A site or relay that is limited holds up nobody else on Kafka either.

use super::{LONG_SESSION, Queue, one};
use crate::acceptance::Setting;
use crate::acceptance::lines::lanes::run_with;
use crate::acceptance::report::Report;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    run_with(setting, report, &|setting, settings| {
        Queue::new(one(), LONG_SESSION).project(setting, settings)
    })
}
