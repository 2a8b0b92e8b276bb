//! The topics of a project.

use crate::commands::Failure;
use crate::domain::topic::Topic;
use crate::engine::policy::{RetrySchedule, Schedule};
use crate::queue::Queue;

/// The error for a topic that the cluster does not have.
pub fn missing(topic: Topic, env: &str, queue: &dyn Queue) -> Failure {
    let (name, url) = (topic.name(env), queue.url());
    Failure::usage(format!(
        "topic `{name}` does not exist at `{url}`; nothing was done"
    ))
    .with_hint("`mailq topics init` creates missing topics")
}

/// The topics that a project with this retry schedule uses.
pub fn required_topics(retry: &RetrySchedule) -> Vec<Topic> {
    let fixed = [
        Topic::Send,
        Topic::Dlq,
        Topic::Event,
        Topic::Campaign,
        Topic::Suppression,
    ];
    fixed
        .into_iter()
        .chain(Schedule::from(retry).tiers().into_iter().map(Topic::Retry))
        .collect()
}
