//! From the settings of a project to those of a worker.

use super::options::Options;
use crate::commands::project::{OpenProject, host_name, worker_name};
use crate::commands::relays;
use crate::config::Source;
use crate::domain::records::RateInForce;
use crate::engine::worker::{Goal, RelayLane, Setup};

/// The settings of the project and the flags, for a worker.
pub fn setup(
    project: &OpenProject,
    options: &Options,
    relays: Vec<RelayLane>,
    goal: Goal,
) -> Setup {
    let settings = &project.loaded.settings;
    let at = jiff::Timestamp::now().to_string();
    let (rate, burst) = (settings.send.rate.value, settings.send.burst);
    let source = settings.send.rate.source.to_string();
    let rate = RateInForce {
        rate,
        burst,
        host: host_name(),
        source,
        at,
    };
    Setup {
        queue: project.queue.clone(),
        clock: project.clock.clone(),
        relays,
        sites: relays::sites(settings),
        retry: settings.retry.clone(),
        max_uncommitted: settings.send.max_uncommitted as usize,
        name: worker_name(options.instance_id.as_deref()),
        trace_id: format!("{:016x}", fastrand::u64(..)),
        key: project.key.clone(),
        publish_rate: settings.send.rate.source != Source::Default,
        env: settings.env.clone(),
        decode_on_threads: true,
        base_after: usize::MAX,
        rate,
        goal,
    }
}
