//! What there is to send when a worker starts, and how long it takes.

use crate::clock::Clock;
use crate::commands::Failure;
use crate::commands::project::OpenProject;
use crate::commands::text::counted;
use crate::commands::time::estimate;
use crate::domain::rate::Rate;
use crate::engine::account;
use crate::engine::worker::Setup;

/// The work that a worker finds when it starts.
pub struct Forecast {
    pub messages: u64,
    /// Messages, relays, rate and time, for people.
    pub line: String,
}

pub async fn forecast(
    project: &OpenProject,
    setup: &Setup,
    relays: &str,
) -> Result<Forecast, Failure> {
    let status = account::status(project.queue.as_ref(), project.clock.now(), None).await?;
    let count = status.lag;
    // The default applies only if no worker has published a rate.
    let in_force = status.rate.and_then(|rate| rate.rate.parse().ok());
    let rate = match setup.publish_rate {
        true => setup.rate.rate,
        false => in_force.unwrap_or(setup.rate.rate),
    };
    let eta = match rate {
        Rate::Unlimited => String::new(),
        limited => match estimate(count as f64 / limited.per_second()) {
            Some(time) => format!(", about {time}"),
            None => ", no estimate".to_string(),
        },
    };
    Ok(Forecast {
        messages: count,
        line: format!("{} to {relays} at {rate}{eta}", counted(count, "message")),
    })
}
