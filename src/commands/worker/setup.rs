//! From the settings of a project to those of a worker.

use super::options::Options;
use crate::commands::Failure;
use crate::commands::project::{OpenProject, host_name, worker_name};
use crate::commands::relays;
use crate::config::{SendKeys, Settings, Source};
use crate::domain::records::RateInForce;
use crate::engine::given_rate::GivenRate;
use crate::engine::worker::{Goal, RelayLane, Setup};
use crate::queue::MAX_COMMIT_TEXT;
use std::rc::Rc;

/// The settings of the project and the flags, for a worker.
pub fn setup(
    project: &OpenProject,
    options: &Options,
    relays: Vec<RelayLane>,
    goal: Goal,
) -> Setup {
    let settings = &project.loaded.settings;
    let name = worker_name(options.instance_id.as_deref());
    let rate = rate(&settings.send, options, &name);
    Setup {
        queue: project.queue.clone(),
        clock: project.clock.clone(),
        relays,
        groups: Rc::new(settings.groups.clone()),
        sites: relays::sites(settings),
        retry: settings.retry.clone(),
        max_uncommitted: settings.send.max_uncommitted as usize,
        name,
        trace_id: format!("{:016x}", fastrand::u64(..)),
        key: project.key.clone(),
        publish_rate: settings.send.rate.source != Source::Default || options.sets_rate(),
        env: settings.env.clone(),
        decode_on_threads: true,
        max_text: MAX_COMMIT_TEXT,
        base_after: usize::MAX,
        windows: settings.send.send_windows(),
        rate,
        goal,
    }
}

/// The rate that these settings give to the queue.
fn rate(send: &SendKeys, options: &Options, name: &str) -> RateInForce {
    let source = match (&send.rate.source, options.burst) {
        (Source::Flag(_), _) | (_, None) => send.rate.source.to_string(),
        (_, Some(_)) => SendKeys::burst().flag.unwrap_or_default().to_string(),
    };
    RateInForce {
        rate: send.rate.value,
        burst: send.burst,
        host: match options.sets_rate() {
            true => name.to_string(),
            false => host_name(),
        },
        source,
        at: jiff::Timestamp::now().to_string(),
    }
}

/// The rate that the worker was given by flag, and that of the settings, which follows it. Errors: the settings cannot
/// be read again.
pub fn given_rate(
    project: &OpenProject,
    options: &Options,
    setup: &Setup,
) -> Result<GivenRate, Failure> {
    let loaded = &project.loaded;
    let without = Options {
        rate: None,
        burst: None,
        ..options.clone()
    };
    let (of_settings, given) = match options.sets_rate() {
        true => {
            let settings = Settings::read(&loaded.project, &without.flags(), &loaded.variables)?;
            let of_settings = rate(&settings.send, &without, &setup.name);
            (of_settings, Some(setup.rate.clone()))
        }
        false => (setup.rate.clone(), None),
    };
    Ok(GivenRate::new(
        project.queue.clone(),
        project.clock.clone(),
        setup.name.clone(),
        (of_settings, given),
    ))
}
