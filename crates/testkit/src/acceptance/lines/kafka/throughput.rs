//! mailq over one broker of this machine beside Postfix's `smtp-source -d`, and its enqueue beside the embedded queue's.

use super::{LONG_SESSION, Queue};
use crate::acceptance::Setting;
use crate::acceptance::lines::keeping;
use crate::acceptance::lines::smtp_source::{MESSAGE_BYTES, ROUNDS, compare, enqueue, median};
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::kafka::{Cluster, Options};

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    // As users run it: memory and processors as they are.
    let options = Options {
        heap: "1g",
        processors: 2,
        ..Options::default()
    };
    let cluster = Cluster::start(1, &options);
    let queue = Queue::new(&cluster, LONG_SESSION);
    let over_kafka = keeping(queue.project(setting, "")?, |project| {
        compare(project, population, 0.6, report)
    })?;
    let over_sqlite = keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign_of_size("source", 0, population, MESSAGE_BYTES)?;
        let rounds = 0..ROUNDS;
        rounds
            .map(|round| enqueue(project, &csv, population, round))
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    report.figure("enqueue over SQLite", format!("{over_sqlite:.0?}"));
    let ratio = median(over_kafka) / median(over_sqlite);
    report.at_least("ratio of the medians of enqueue", ratio, 0.8);
    Ok(())
}
