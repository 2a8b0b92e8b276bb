//! One connection's view of the lanes.

use super::{Blocked, ConnectionQueue, Lanes};
use crate::domain::outcome::Attempt;
use crate::smtp::{Feed, Outgoing};
use async_trait::async_trait;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// One connection's view of the lanes.
pub(super) struct RelayFeed {
    pub(super) lanes: Rc<Lanes>,
    pub(super) relay: usize,
    /// This connection was opened as a probe: its first message may go though the breaker is open.
    pub(super) probe: Cell<bool>,
    /// The relay has greeted, and asks for messages.
    is_open: Cell<bool>,
    /// It ends now, because another relay has its connections back.
    leaves: Cell<bool>,
    /// Messages that this connection has taken and that have no result.
    held: Cell<usize>,
    /// Where the last of them goes.
    site: RefCell<String>,
    /// The one of them whose final dot may have been written.
    finishing: Cell<Option<u64>>,
    finished: Notify,
}

impl RelayFeed {
    pub(super) fn new(lanes: Rc<Lanes>, relay: usize, is_probe: bool) -> RelayFeed {
        RelayFeed {
            lanes,
            relay,
            probe: Cell::new(is_probe),
            is_open: Cell::new(false),
            leaves: Cell::new(false),
            held: Cell::new(0),
            site: RefCell::default(),
            finishing: Cell::new(None),
            finished: Notify::new(),
        }
    }

    /// Returns when the worker is stopping and this connection holds messages of which none has its final dot out. The
    /// session is then dropped, and they come back unsent. A slow relay would otherwise get messages that it answers
    /// only after the stop is cut off, and those would be in doubt.
    pub(super) async fn holds_only_unsent(&self) {
        self.lanes.closed().await;
        while self.held.get() == 0 || self.finishing.get().is_some() {
            self.finished.notified().await;
        }
    }

    pub(super) fn pull(&self) -> Result<Outgoing, Blocked> {
        if !self.is_open.replace(true) {
            self.lanes.opened(self.relay);
        }
        let now = self.lanes.setup.clock.since_boot();
        let mut inner = self.lanes.inner.borrow_mut();
        let leaves = self.leaves.get() || inner.leaves_connection(self.relay, now);
        drop(inner);
        if leaves {
            self.leaves.set(true);
            return Err(Blocked::Closing);
        }
        let taken = self.lanes.take(self.relay, self.probe.get());
        if let Err(Blocked::OthersTurn(Some(other))) = taken {
            self.lanes.wake_relay(other);
        }
        let in_flight = taken?;
        self.probe.set(false);
        self.site.borrow_mut().clone_from(&in_flight.site);
        self.held.set(self.held.get() + 1);
        Ok(self.lanes.begin(self.relay, in_flight))
    }

    pub(super) fn relay_name(&self) -> Option<String> {
        self.lanes
            .setup
            .relays
            .get(self.relay)
            .map(|lane| lane.relay.name().to_string())
    }
}

#[async_trait(?Send)]
impl Feed for RelayFeed {
    async fn next(&self) -> Option<Outgoing> {
        let connections = self.lanes.connection_queues.get(self.relay)?;
        loop {
            let woken = connections.connected.notified();
            match self.pull() {
                Ok(outgoing) => {
                    // Another waiting connection may take the next message.
                    if !self.lanes.inner.borrow().waiting.is_empty() {
                        self.lanes.wake();
                    }
                    return Some(outgoing);
                }
                Err(Blocked::Closing) => {
                    // It may have been woken for a message.
                    connections.wake();
                    return None;
                }
                Err(blocked) => {
                    let waiting = Waiting::begin(&connections.connected_waiting);
                    match Alarm::set(connections, &blocked) {
                        Some(alarm) => {
                            self.lanes.wait(woken, blocked).await;
                            alarm.dismiss();
                        }
                        None => woken.await,
                    }
                    drop(waiting);
                }
            }
        }
    }

    /// The next message waits for the reply to this one, so none is taken behind one whose site may be slow to answer.
    fn try_next(&self) -> Option<Outgoing> {
        let is_quick = self.lanes.answers_quickly(&self.site.borrow());
        is_quick.then(|| self.pull().ok()).flatten()
    }

    fn may_finish(&self, ticket: u64) -> bool {
        let now = self.lanes.setup.clock.since_boot();
        let inner = self.lanes.inner.borrow();
        let in_flight = inner.begun.get(&ticket);
        let may = !inner.closing && in_flight.is_some_and(|(_, message)| inner.holds(message, now));
        if may {
            self.finishing.set(Some(ticket));
        }
        may
    }

    fn begun(&self, _ticket: u64, _at: SystemTime) {
        let mut inner = self.lanes.inner.borrow_mut();
        if let Some(state) = inner.relays.get_mut(self.relay) {
            state.attempts += 1;
        }
    }

    fn done(&self, ticket: u64, attempt: Attempt) {
        self.held.set(self.held.get().saturating_sub(1));
        if self.finishing.get() == Some(ticket) {
            self.finishing.set(None);
        }
        self.finished.notify_one();
        let mut inner = self.lanes.inner.borrow_mut();
        let Some((_, in_flight)) = inner.begun.remove(&ticket) else {
            return;
        };
        let now = self.lanes.setup.clock.since_boot();
        inner.hold_ended(&in_flight.site, ticket, &attempt, now);
        if let Some(state) = inner.relays.get_mut(self.relay) {
            state.with_relay = state.with_relay.saturating_sub(1);
            state.answered_at = now;
            state.hold_time.end(ticket, now);
        }
        drop(inner);
        self.lanes.answer(in_flight, self.relay_name(), attempt);
    }
}

impl Drop for RelayFeed {
    fn drop(&mut self) {
        if self.leaves.get()
            && let Some(state) = self.lanes.inner.borrow_mut().relays.get_mut(self.relay)
        {
            state.leaving = state.leaving.saturating_sub(1);
        }
        if self.is_open.get() {
            self.lanes.closed_one(self.relay);
        }
    }
}

/// One of a relay's waiting connections wakes by itself when the next message may go; the others are woken by it. With a
/// timer each, every slot would wake all of them to look for the same message.
struct Alarm<'a> {
    connections: &'a ConnectionQueue,
    at: Duration,
    is_dismissed: bool,
}

impl<'a> Alarm<'a> {
    /// `None`: nothing is known to come, or another connection wakes earlier.
    fn set(connections: &'a ConnectionQueue, blocked: &Blocked) -> Option<Alarm<'a>> {
        let Blocked::Until(at) = *blocked else {
            return None;
        };
        if connections.alarm.get().is_some_and(|earlier| earlier <= at) {
            return None;
        }
        connections.alarm.set(Some(at));
        Some(Alarm {
            connections,
            at,
            is_dismissed: false,
        })
    }

    /// The connection is awake, and looks itself.
    fn dismiss(mut self) {
        self.is_dismissed = true;
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if self.connections.alarm.get() == Some(self.at) {
            self.connections.alarm.set(None);
        }
        // The session ended while it waited: another connection takes over.
        if !self.is_dismissed {
            self.connections.wake();
        }
    }
}

/// Counts a waiting connection for as long as it waits, also when its task ends meanwhile.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    pub(super) fn begin(count: &'a Cell<usize>) -> Waiting<'a> {
        count.set(count.get() + 1);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
