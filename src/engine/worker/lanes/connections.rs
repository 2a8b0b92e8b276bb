//! Opens connections: only when a message waits for one and the breaker allows it.

use super::feed::RelayFeed;
use super::lent::{self, Share};
use super::{Blocked, Inner, Lanes, RelayState};
use crate::domain::outcome::{Reply, Stage, TOO_MANY_CONNECTIONS};
use crate::engine::breaker::{self, Permit, Signal};
use crate::engine::worker::settings::Notice;
use crate::smtp::SessionEnd;
use std::rc::Rc;
use std::time::Duration;

/// How often a connection that the relay may not let in asks again.
const LIMIT_REVIEW: Duration = Duration::from_secs(5);

impl Lanes {
    pub(super) async fn wait(&self, woken: tokio::sync::futures::Notified<'_>, blocked: Blocked) {
        match blocked {
            Blocked::Until(at) => {
                let now = self.setup.clock.since_boot();
                let _ = tokio::time::timeout(at.saturating_sub(now), woken).await;
            }
            Blocked::Empty | Blocked::OthersTurn(_) | Blocked::Closing => woken.await,
        }
    }

    /// Waits until a message has no open connection to take it and the breaker allows a connection.
    /// `Some(true)`: as a probe. `None`: the worker is stopping.
    pub(super) async fn may_connect(&self, relay: usize) -> Option<bool> {
        let connections = self.connection_queues.get(relay)?;
        loop {
            let woken = connections.unconnected.notified();
            let blocked = {
                let now = self.setup.clock.since_boot();
                let mut inner = self.inner.borrow_mut();
                if inner.closing {
                    return None;
                }
                let wanted = inner.waiting.len() > connections.connected_waiting.get()
                    && self.hours.are_open();
                match wanted.then(|| inner.may_connect(relay, now)) {
                    Some(Permit::Go) => return Some(false),
                    Some(Permit::Probe) => return Some(true),
                    Some(Permit::Wait(until)) => Blocked::Until(until),
                    None => Blocked::Empty,
                }
            };
            self.wait(woken, blocked).await;
        }
    }

    /// A connection of the relay is open. The relay does not catch up on what it missed while it had none.
    pub(super) fn opened(&self, relay: usize) {
        let mut inner = self.inner.borrow_mut();
        let Some(state) = inner.relays.get_mut(relay) else {
            return;
        };
        state.open += 1;
        if state.open == 1 {
            inner.even_out_shares();
        }
    }

    /// An open connection of the relay has ended. Others may have waited for it.
    pub(super) fn closed_one(&self, relay: usize) {
        if let Some(state) = self.inner.borrow_mut().relays.get_mut(relay) {
            state.open = state.open.saturating_sub(1);
        }
        self.wake();
    }

    /// Waits until the answers so far are judged, because the breaker must hear what the relay said in that order: a 421
    /// after mails that it took is no outage.
    async fn answers_are_judged(&self) {
        let taken = self.answers_taken.notified();
        let none_waits = {
            let inner = self.inner.borrow();
            inner.closing || inner.answers.is_empty()
        };
        if !none_waits {
            taken.await;
        }
    }

    async fn ended(&self, relay: usize, end: &SessionEnd) {
        if let Some(state) = self.inner.borrow_mut().relays.get_mut(relay) {
            state.sessions = state.sessions.saturating_sub(1);
        }
        if self.is_turned_away(relay, end) {
            return;
        }
        let signal = match end {
            SessionEnd::Reconnect {
                reply: Some(reply), ..
            } if reply.code == TOO_MANY_CONNECTIONS => {
                let lower = |state: &mut RelayState, now| state.limit.exceeded(state.open, now);
                self.limit_connections(relay, reply, lower);
                return;
            }
            SessionEnd::Finished | SessionEnd::Reconnect { .. } => return,
            SessionEnd::Failed {
                stage,
                reply: Some(reply),
                ..
            } => match *stage >= Stage::RcptTo {
                true => Signal::RefusedOne(reply.to_string()),
                false => Signal::Refused(reply.to_string()),
            },
            SessionEnd::Failed { why, .. } => Signal::Deferred(why.clone()),
            SessionEnd::Unavailable {
                reply: Some(reply), ..
            } => Signal::Refused(reply.to_string()),
            SessionEnd::Unavailable { why, .. } => Signal::Refused(why.clone()),
            SessionEnd::LoginRefused { problem, why, .. } => {
                Signal::LoginRefused(*problem, why.clone())
            }
        };
        self.answers_are_judged().await;
        self.signal(relay, None, signal);
    }
}

impl Lanes {
    /// The relay refused one more connection beside those that are open: it is opened later, and the relay is well.
    fn is_turned_away(&self, relay: usize, end: &SessionEnd) -> bool {
        let SessionEnd::Unavailable {
            stage: Stage::Greeting | Stage::Ehlo,
            reply: Some(reply),
            ..
        } = end
        else {
            return false;
        };
        let open = {
            let inner = self.inner.borrow();
            inner.relays.get(relay).map_or(0, |state| state.open)
        };
        if !(400..500).contains(&reply.code) || open == 0 {
            return false;
        }
        self.limit_connections(relay, reply, |state, now| {
            state.limit.turned_away(open, now)
        });
        true
    }

    /// Lowers the limit of connections, and tells the operator if it is lower then.
    fn limit_connections(
        &self,
        relay: usize,
        reply: &Reply,
        lower: impl FnOnce(&mut RelayState, Duration) -> Option<usize>,
    ) {
        let now = self.setup.clock.since_boot();
        let lowered = {
            let mut inner = self.inner.borrow_mut();
            let state = inner.relays.get_mut(relay);
            state.and_then(|state| lower(state, now))
        };
        if let Some(allowed) = lowered {
            let lane = self.setup.relays.get(relay);
            let name = lane.map_or("", |lane| lane.relay.name());
            self.observer
                .notice(Notice::Breaker(breaker::Notice::Connections {
                    what: format!("relay `{name}`"),
                    allowed,
                    words: reply.to_string(),
                }));
        }
    }
}

impl Inner {
    /// Whether one more connection of the relay may be opened. It counts as begun then.
    fn may_connect(&mut self, relay: usize, now: Duration) -> Permit {
        let allowed = self.allowed_connections(relay, now);
        // Connections to a silent relay stay open until its answers are overdue, and are lent out all the same.
        let sessions = self.relays.iter().map(|relay| match relay.is_silent(now) {
            true => relay.sessions.min(1),
            false => relay.sessions,
        });
        let sessions: usize = sessions.sum();
        let is_full = sessions >= self.connections();
        let wait = Permit::Wait(now + LIMIT_REVIEW);
        let Some(state) = self.relays.get_mut(relay) else {
            return wait;
        };
        let is_full = is_full || state.sessions >= allowed;
        // A connection to a relay without quota would get no message.
        if is_full || state.quota_left() == 0 || !state.limit.may_open(state.sessions, now) {
            return wait;
        }
        let permit = state.breaker.may_try(now);
        if !matches!(permit, Permit::Wait(_)) {
            state.sessions += 1;
        }
        permit
    }

    fn allowed_connections(&self, relay: usize, now: Duration) -> usize {
        let shares = self.relays.iter().map(|state| Share {
            own: state.connections,
            most: state.most_connections,
            is_away: state.is_away(now),
        });
        lent::allowed(&shares.collect::<Vec<_>>(), relay)
    }

    /// Whether the relay has more connections than it may have now. One of them ends then.
    pub(super) fn leaves_connection(&mut self, relay: usize, now: Duration) -> bool {
        if self.relays.len() == 1 {
            return false;
        }
        let allowed = self.allowed_connections(relay, now);
        let state = self.relays.get_mut(relay);
        let state =
            state.filter(|state| state.sessions - state.leaving.min(state.sessions) > allowed);
        state.map(|state| state.leaving += 1).is_some()
    }
}

impl Lanes {
    /// Wakes idle connections of relays that have more than they may have, so that they end.
    pub fn give_connections_back(&self) {
        let now = self.setup.clock.since_boot();
        let inner = self.inner.borrow();
        for (relay, (state, queue)) in inner.relays.iter().zip(&self.connection_queues).enumerate()
        {
            if inner.relays.len() > 1 && state.sessions > inner.allowed_connections(relay, now) {
                queue.connected.notify_waiters();
            }
        }
    }
}

/// One task for each connection that may be open; each connects only when there is something to send.
pub fn open_connections(lanes: &Rc<Lanes>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for (relay, lane) in lanes.setup.relays.iter().enumerate() {
        for _ in 0..lane.most_connections.max(1) {
            tasks.push(tokio::task::spawn_local(keep_connection(
                lanes.clone(),
                relay,
            )));
        }
    }
    tasks
}

async fn keep_connection(lanes: Rc<Lanes>, relay: usize) {
    let Some(lane) = lanes.setup.relays.get(relay).cloned() else {
        return;
    };
    while let Some(probe) = lanes.may_connect(relay).await {
        let feed = RelayFeed::new(lanes.clone(), relay, probe);
        let end = tokio::select! {
            biased;
            end = lane.relay.run_session(&feed) => end,
            () = feed.holds_only_unsent() => return,
        };
        lanes.ended(relay, &end).await;
    }
}
