//! No message is finished once the queue is gone: nobody could learn what became of it, and whoever works on the file
//! that is there now may send it too.

use super::settings::RelayLane;
use crate::domain::outcome::Attempt;
use crate::queue::Queue;
use crate::smtp::{Capabilities, Feed, Outgoing, Relay, SessionEnd};
use async_trait::async_trait;
use std::rc::Rc;
use std::time::SystemTime;

/// Lets the lane's relay ask this queue right before each final dot.
pub fn fence(lane: &mut RelayLane, queue: &Rc<dyn Queue>) {
    lane.relay = Rc::new(FencedRelay {
        relay: lane.relay.clone(),
        queue: queue.clone(),
    });
}

struct FencedRelay {
    relay: Rc<dyn Relay>,
    queue: Rc<dyn Queue>,
}

#[async_trait(?Send)]
impl Relay for FencedRelay {
    fn name(&self) -> &str {
        self.relay.name()
    }

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        let queue = self.queue.as_ref();
        self.relay.run_session(&FencedFeed { feed, queue }).await
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        self.relay.probe().await
    }
}

struct FencedFeed<'a> {
    feed: &'a dyn Feed,
    queue: &'a dyn Queue,
}

#[async_trait(?Send)]
impl Feed for FencedFeed<'_> {
    async fn next(&self) -> Option<Outgoing> {
        self.feed.next().await
    }

    fn try_next(&self) -> Option<Outgoing> {
        self.feed.try_next()
    }

    fn may_finish(&self, ticket: u64) -> bool {
        self.queue.check().is_ok() && self.feed.may_finish(ticket)
    }

    fn begun(&self, ticket: u64, at: SystemTime) {
        self.feed.begun(ticket, at);
    }

    fn done(&self, ticket: u64, attempt: Attempt) {
        self.feed.done(ticket, attempt);
    }
}
