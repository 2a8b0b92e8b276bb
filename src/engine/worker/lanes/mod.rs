//! Claimed messages wait here for a connection, a slot of each limit, and a relay and site that take mail. Every
//! message that is handed over comes back exactly once, as an [`Answer`].

mod connection_limit;
mod connections;
mod feed;
mod figures;
mod hold_times;
mod judge;
mod lent;
mod quotas;
mod relay_share;
mod room;
mod shares;
mod site_breakers;
mod sites;
mod slots;
mod take_back;

pub use connections::open_connections;
pub use quotas::ToReserve;
pub use slots::MOST_SLOTS;

use super::followed::Suppressions;
use super::hours::SendHours;
use super::settings::{Observer, Setup, SiteLimit};
use crate::domain::outcome::Attempt;
use crate::domain::rate::Rate;
use crate::domain::topic::TopicPartition;
use crate::engine::breaker::Breaker;
use crate::engine::limits::allowance::Allowance;
use crate::engine::limits::pace::Pace;
use crate::engine::limits::shares::ShareSchedule;
use crate::protocol::OpenMessage;
use crate::smtp::Outgoing;
use connection_limit::ConnectionLimit;
use hold_times::{HoldTime, HoldTimes};
use site_breakers::SiteBreakers;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// A claimed message on its way to a relay and back.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// Of the ownership under which it was claimed.
    pub token: u64,
    pub open: OpenMessage,
    pub site: String,
}

/// The result of a message in flight.
#[derive(Debug)]
pub struct Answer {
    pub in_flight: InFlight,
    pub relay: Option<String>,
    pub attempt: Attempt,
    /// When the relay answered, or the message was taken back.
    pub answered_at: SystemTime,
    /// The address was on the suppression list when the message's turn came.
    pub suppressed: bool,
}

/// With more sites than this, those without messages, limit or open breaker are forgotten. Each has a breaker for each
/// relay, so with many relays they are fewer.
const MAX_SITES: usize = 10_000;
const MAX_LANES: usize = 50_000;
const FEWEST_SITES: usize = 1_000;

pub struct Lanes {
    setup: Rc<Setup>,
    observer: Rc<dyn Observer>,
    pub hours: SendHours,
    inner: RefCell<Inner>,
    /// Checked right before a message begins.
    suppressions: Rc<RefCell<Suppressions>>,
    /// One for each relay.
    connection_queues: Vec<ConnectionQueue>,
    /// Wakes the journal when there are answers.
    pub answered: Notify,
    /// The journal has taken them.
    answers_taken: Notify,
    /// Connections are woken when the worker stops.
    stopping: Notify,
}

/// Connections of one relay that wait for messages. Open ones are served first, because the others must connect.
#[derive(Default)]
struct ConnectionQueue {
    connected: Notify,
    connected_waiting: Cell<usize>,
    unconnected: Notify,
    /// When the first of the connected ones wakes by itself.
    alarm: Cell<Option<Duration>>,
}

impl ConnectionQueue {
    fn wake(&self) {
        match self.connected_waiting.get() {
            0 => self.unconnected.notify_one(),
            _ => self.connected.notify_one(),
        }
    }
}

struct Inner {
    waiting: VecDeque<InFlight>,
    /// Messages with a relay, and its index.
    begun: HashMap<u64, (usize, InFlight)>,
    /// Until when claims of a partition hold (boot time), for the ownership that the token names. Every acknowledged
    /// commit has the claims in it and so renews them.
    valid: BTreeMap<TopicPartition, (u64, Duration)>,
    answers: Vec<Answer>,
    relays: Vec<RelayState>,
    sites: HashMap<String, SiteState>,
    pace: Pace,
    /// The limit of the whole queue, and its burst.
    limit: (Rate, u32),
    /// This worker's shares, where limits are shared out among workers.
    schedule: Option<ShareSchedule>,
    /// Limits without a share for this worker, because they allow fewer messages than there are workers.
    waits: BTreeSet<String>,
    next_ticket: u64,
    closing: bool,
    /// Claimed in this cycle, by limited site.
    reserved: BTreeMap<String, usize>,
    /// Answers in one cycle, smoothed: what the connections finish while a commit is made.
    pace_of_answers: usize,
    hold_times: HoldTimes,
    /// Messages of slow sites that are claimed, as of this cycle.
    slow: usize,
    /// Sites with messages that are claimed, as of this cycle.
    busy_sites: usize,
    /// Claimed messages of sites that are paused over a relay, as of this cycle.
    partly_paused: usize,
}

struct RelayState {
    breaker: Breaker,
    pace: Pace,
    weight: u64,
    /// Messages since the shares were last evened out.
    taken: u64,
    with_relay: usize,
    /// Messages that have begun.
    attempts: u64,
    /// Its share of all connections.
    connections: usize,
    most_connections: usize,
    /// Connections that are open.
    open: usize,
    hold_time: HoldTime,
    /// When it answered last, or got a message while it had none.
    answered_at: Duration,
    /// When it took a message last.
    taken_at: Option<Duration>,
    limit: ConnectionLimit,
    /// Connections that are open or being opened.
    sessions: usize,
    /// Those of them that end now, because another relay has its connections back.
    leaving: usize,
    /// Where it has a daily quota.
    allowance: Option<Allowance>,
    /// Since when every site that has claimed messages is paused over it, as of this cycle.
    refused_since: Option<Duration>,
    /// It had no message that it may take when it asked last, because until then it is not tried for their sites.
    no_message_until: Duration,
}

struct SiteState {
    breakers: SiteBreakers,
    limit: Option<SiteLimit>,
    pace: Option<Pace>,
    /// Claimed messages that have not begun.
    waiting: usize,
    with_relay: usize,
    /// Those of them that are with a silent relay, as of this cycle.
    stuck: usize,
    hold_time: HoldTime,
    /// Until then first tries that are deferred are no sign of trouble, because the site defers all of them.
    greylists_until: Duration,
    /// It has taken a first try lately, so it does not defer all of them.
    takes_first_tries_until: Duration,
}

/// Why no message can begin now.
enum Blocked {
    Empty,
    Until(Duration),
    /// Relays take messages in proportion to their weights: another one comes first, if it is named at once.
    OthersTurn(Option<usize>),
    Closing,
}

impl Lanes {
    pub fn new(setup: Rc<Setup>, observer: Rc<dyn Observer>) -> Rc<Lanes> {
        let queue = setup.queue.as_ref();
        let relays = setup.relays.iter().map(|lane| RelayState {
            breaker: Breaker::new(format!("relay `{}`", lane.relay.name())),
            pace: Pace::new(queue, format!("relay/{}", lane.relay.name()), lane.rate, 1),
            weight: u64::from(lane.weight.max(1)),
            taken: 0,
            with_relay: 0,
            attempts: 0,
            connections: lane.connections.max(1),
            most_connections: lane.most_connections.max(1),
            open: 0,
            hold_time: HoldTime::default(),
            answered_at: Duration::ZERO,
            taken_at: None,
            limit: ConnectionLimit::new(lane.most_connections),
            sessions: 0,
            leaving: 0,
            allowance: (lane.quota.clone()).map(|quota| Allowance::new(quota, setup.clock.now())),
            refused_since: None,
            no_message_until: Duration::ZERO,
        });
        let relays: Vec<RelayState> = relays.collect();
        let connections = relays.iter().map(|relay| relay.connections).sum();
        let inner = Inner {
            waiting: VecDeque::new(),
            begun: HashMap::new(),
            valid: BTreeMap::new(),
            answers: Vec::new(),
            relays,
            sites: HashMap::new(),
            pace: Pace::new(queue, "rate".to_string(), setup.rate.rate, setup.rate.burst),
            limit: (setup.rate.rate, setup.rate.burst),
            schedule: None,
            waits: BTreeSet::new(),
            next_ticket: 0,
            closing: false,
            reserved: BTreeMap::new(),
            pace_of_answers: 0,
            hold_times: HoldTimes::new(connections),
            slow: 0,
            busy_sites: 0,
            partly_paused: 0,
        };
        let connection_queues = setup
            .relays
            .iter()
            .map(|_| ConnectionQueue::default())
            .collect();
        let hours = SendHours::new(setup.windows.clone(), setup.clock.clone());
        Rc::new(Lanes {
            setup,
            hours,
            observer,
            inner: RefCell::new(inner),
            suppressions: Rc::default(),
            connection_queues,
            answered: Notify::new(),
            answers_taken: Notify::new(),
            stopping: Notify::new(),
        })
    }

    pub fn set_rate(&self, rate: Rate, burst: u32) {
        let mut inner = self.inner.borrow_mut();
        inner.limit = (rate, burst);
        let schedule = inner.schedule.clone();
        if schedule.is_none() {
            inner.pace.set_rate(rate, burst);
        }
        drop(inner);
        match schedule {
            Some(schedule) => self.set_shares(&schedule),
            None => self.wake(),
        }
    }

    /// The suppression list, for the journal, which keeps it up to date.
    pub fn suppressions(&self) -> Rc<RefCell<Suppressions>> {
        self.suppressions.clone()
    }

    /// Takes claimed messages.
    pub fn hand_over(&self, messages: Vec<InFlight>) {
        if messages.is_empty() {
            return;
        }
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        for message in &messages {
            inner.site(&self.setup, &message.site, now).waiting += 1;
        }
        inner.waiting.extend(messages);
        for relay in &mut inner.relays {
            relay.no_message_until = Duration::ZERO;
        }
        drop(inner);
        self.wake();
    }

    /// The answers since the last call. They are to be judged before anything is awaited.
    pub fn answers(&self) -> Vec<Answer> {
        self.answers_taken.notify_waiters();
        let mut inner = self.inner.borrow_mut();
        let answers = std::mem::take(&mut inner.answers);
        inner.pace_of_answers = (inner.pace_of_answers * 7 / 8).max(answers.len());
        answers
    }

    pub fn attempts(&self) -> u64 {
        let inner = self.inner.borrow();
        inner.relays.iter().map(|relay| relay.attempts).sum()
    }

    /// Every relay is held: paused for its own trouble, or without quota.
    pub fn are_relays_away(&self) -> bool {
        self.inner.borrow().are_all_held()
    }

    /// Mail may leave now: a send window is open, and not all quotas are used up.
    pub fn may_send(&self) -> bool {
        self.hours.are_open() && self.quotas_used_up_until().is_none()
    }

    /// No relay works, and each has refused our login so often in a row.
    pub fn refuse_login(&self, times: usize) -> bool {
        let inner = self.inner.borrow();
        let mut relays = inner.relays.iter();
        !inner.relays.is_empty() && relays.all(|relay| relay.breaker.login_refusals() >= times)
    }

    /// Messages waiting or with a relay.
    pub fn outstanding(&self) -> usize {
        let inner = self.inner.borrow();
        inner.waiting.len() + inner.begun.len()
    }

    /// A commit of this partition was acknowledged: its claims hold until then.
    pub fn renew(&self, at: TopicPartition, token: u64, until: Duration) {
        self.inner.borrow_mut().valid.insert(at, (token, until));
    }

    /// Claims under this token may be void: none is begun or finished unless a commit renews them.
    pub fn doubt(&self, at: TopicPartition, token: u64) {
        let mut inner = self.inner.borrow_mut();
        if inner.valid.get(&at).is_some_and(|(held, _)| *held == token) {
            inner.valid.remove(&at);
        }
    }

    /// Ownership is gone or ends now: no message of the partition is begun or finished any more.
    pub fn disown(&self, at: TopicPartition) {
        self.inner.borrow_mut().valid.remove(&at);
        self.take_back(at);
    }

    /// From now on no message begins.
    pub fn close(&self) {
        self.inner.borrow_mut().closing = true;
        for connections in &self.connection_queues {
            connections.connected.notify_waiters();
            connections.unconnected.notify_waiters();
        }
        self.stopping.notify_waiters();
        self.answers_taken.notify_waiters();
        self.take_back_if(|_| true, "the worker is stopping");
    }

    /// Returns when the lanes are closed.
    pub(super) async fn closed(&self) {
        let stopping = self.stopping.notified();
        if !self.inner.borrow().closing {
            stopping.await;
        }
    }

    /// How many of `most` messages may be claimed now: one for the probe while every relay is held, else as many as
    /// there are slots, and no more than the connections can take before the next commit.
    pub fn room(&self, most: usize) -> usize {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        if inner.closing {
            return 0;
        }
        let outstanding = inner.waiting.len() + inner.begun.len();
        if inner.has_no_share(now) || inner.quota_left() == 0 {
            return 0;
        }
        if inner.are_all_held() {
            return usize::from(outstanding == 0).min(most);
        }
        let waiting = inner.waiting.len();
        let slots = inner.pace.stock(now).min(inner.quota_left());
        let slots = slots.min(inner.ahead_of_relays()).saturating_sub(waiting);
        let reach = 2 * inner.connections() + 3 * inner.pace_of_answers;
        most.min(slots).min(reach.saturating_sub(outstanding))
    }

    /// Wakes one connection of each relay, because one relay may be held where another is not.
    pub fn wake(&self) {
        self.connection_queues
            .iter()
            .for_each(ConnectionQueue::wake);
    }

    fn wake_others(&self, relay: usize) {
        let others = self.connection_queues.iter().enumerate();
        others
            .filter(|(index, _)| *index != relay)
            .for_each(|(_, queue)| queue.wake());
    }

    pub(super) fn wake_relay(&self, relay: usize) {
        if let Some(connections) = self.connection_queues.get(relay) {
            connections.wake();
        }
    }

    /// Takes the next message for a relay, if one may begin now.
    fn take(&self, relay: usize, has_probe: bool) -> Result<InFlight, Blocked> {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        if inner.closing {
            return Err(Blocked::Closing);
        }
        // Outside the send windows what waits is taken back, and its connections wait for the next claims.
        if inner.waiting.is_empty() || !self.hours.are_open() {
            return Err(Blocked::Empty);
        }
        inner.roll_quotas(self.setup.clock.now());
        inner.may_take(relay, has_probe, now)?;
        let list = self.suppressions.borrow();
        let had_messages = inner.has_messages(relay, now);
        loop {
            let found = inner.next_for_site(&self.setup, relay, now);
            if had_messages && !inner.has_messages(relay, now) {
                // Others may have waited for this relay to take its share.
                self.wake_others(relay);
            }
            let index = found?;
            let in_flight = inner.waiting.remove(index).ok_or(Blocked::Empty)?;
            inner.waits_no_more(&in_flight.site);
            let suppressed = list.has(&self.setup.key, &in_flight.open.message.line.address);
            if !suppressed && inner.holds(&in_flight, now) {
                inner.use_slots(relay, &in_flight.site, now);
                inner.use_probes(relay, has_probe, &in_flight.site, now);
                return Ok(in_flight);
            }
            let why = if suppressed {
                "suppressed"
            } else {
                "the claim expired"
            };
            let answered_at = self.setup.clock.now();
            inner.give_back(in_flight, why, suppressed, answered_at);
            self.answered.notify_one();
        }
    }

    pub(super) fn begin(&self, relay: usize, in_flight: InFlight) -> Outgoing {
        let mut inner = self.inner.borrow_mut();
        let now = self.setup.clock.since_boot();
        inner.next_ticket += 1;
        let ticket = inner.next_ticket;
        if let Some(state) = inner.sites.get_mut(&in_flight.site) {
            state.hold_time.begin(ticket, now);
        }
        if let Some(state) = inner.relays.get_mut(relay) {
            state.hold_time.begin(ticket, now);
        }
        let line = &in_flight.open.message.line;
        let outgoing = Outgoing {
            ticket,
            return_path: line.return_path.clone(),
            recipient: line.address.clone(),
            message_id: line.id.clone(),
            content: in_flight.open.message.content.clone(),
        };
        inner.begun.insert(ticket, (relay, in_flight));
        outgoing
    }

    pub(super) fn answer(&self, in_flight: InFlight, relay: Option<String>, attempt: Attempt) {
        self.inner.borrow_mut().answers.push(Answer {
            in_flight,
            relay,
            attempt,
            answered_at: self.setup.clock.now(),
            suppressed: false,
        });
        self.answered.notify_one();
    }
}
