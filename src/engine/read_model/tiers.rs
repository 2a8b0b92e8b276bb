//! What waits in the retry tiers: chunks that nobody has opened yet, by their headers, and open ones.

use super::scan::scan_in_steps;
use super::view::Strings;
use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, chunk};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

/// Often the first record is all that is wanted.
const FETCH_BYTES: usize = 64 * 1024;

/// A chunk in a tier that nobody has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub run: RunKey,
    pub messages: u64,
    pub due_at: SystemTime,
}

/// Shows unread chunks of a tier's partition in log order, at most `limit` records of it, until `visit` breaks off.
/// Copies of a move that was made twice are left out. Resolves to the first record beyond the limit, if there is one.
pub async fn waiting(
    queue: &dyn Queue,
    strings: &Strings,
    at: TopicPartition,
    limit: usize,
    visit: &mut dyn FnMut(Waiting) -> ControlFlow<()>,
) -> Result<Option<Waiting>, QueueError> {
    let Topic::Retry(delay) = at.topic else {
        return Ok(None);
    };
    let bounds = queue.bounds(at).await?;
    let from = strings.tier_next(at).max(bounds.low);
    let mut seen = strings
        .progress(at)
        .map(|progress| progress.seen.clone())
        .unwrap_or_default();
    let (mut count, mut beyond) = (0, None);
    scan_in_steps(queue, at, from..bounds.end, FETCH_BYTES, &mut |stored| {
        count += 1;
        let Ok(head) = chunk::head(&stored.record) else {
            return ControlFlow::Continue(());
        };
        let Some((source, number)) = head.moved_from else {
            return ControlFlow::Continue(());
        };
        let last = seen.entry(source).or_default();
        if number <= *last {
            return ControlFlow::Continue(());
        }
        *last = number;
        let waiting = Waiting {
            run: head.key,
            messages: u64::from(head.count),
            due_at: due(stored.appended_at, delay),
        };
        if count > limit {
            beyond = Some(waiting);
            return ControlFlow::Break(());
        }
        visit(waiting)
    })
    .await?;
    Ok(beyond)
}

/// When a tier's chunk is due, the middle of what its messages are spread over.
pub fn due(appended_at: SystemTime, delay: Duration) -> SystemTime {
    appended_at.checked_add(delay).unwrap_or(appended_at)
}
