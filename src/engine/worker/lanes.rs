//! Where connections take their messages from: claimed messages wait here for a connection, a slot of the rate, and
//! a relay and site that take mail. Everything that is handed over comes back exactly once, as an [`Answer`].

use super::pace::Pace;
use super::settings::{Notice, Observer, Setup};
use crate::domain::address;
use crate::domain::chunk::Message;
use crate::domain::ids::RunKey;
use crate::domain::outcome::Attempt;
use crate::domain::rate::Rate;
use crate::domain::topic::TopicPartition;
use crate::engine::breaker::{Breaker, Permit, Signal};
use crate::protocol::machine::Slot;
use crate::smtp::{End, Feed, Outgoing};
use async_trait::async_trait;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// A claimed message on its way to a relay and back.
#[derive(Debug, Clone)]
pub struct Handed {
    pub at: TopicPartition,
    pub token: u64,
    /// The owner number of the claim.
    pub number: u64,
    pub slot: Slot,
    pub run: RunKey,
    pub message: Message,
    pub site: String,
    /// Not begun and not finished after this (boot time).
    pub valid_until: Duration,
}

/// What a connection says of a message.
#[derive(Debug)]
pub struct Answer {
    pub handed: Handed,
    pub relay: Option<String>,
    pub attempt: Attempt,
    /// On the suppression list by the time its turn came.
    pub suppressed: bool,
}

/// The breakers of more sites than this are forgotten, the quiet ones first.
const MAX_SITES: usize = 10_000;

pub struct Lanes {
    setup: Rc<Setup>,
    observer: Rc<dyn Observer>,
    inner: RefCell<Inner>,
    /// Connections that are open wait here, the others behind `unconnected`.
    connected: Notify,
    connected_waiting: Cell<usize>,
    unconnected: Notify,
    /// The journal is woken by answers.
    pub answered: Notify,
}

struct Inner {
    waiting: VecDeque<Handed>,
    begun: HashMap<u64, Handed>,
    answers: Vec<Answer>,
    relays: Vec<RelayState>,
    sites: BTreeMap<String, SiteState>,
    pace: Pace,
    next_ticket: u64,
    closing: bool,
    /// Claimed in the cycle under way, by limited site.
    reserved: BTreeMap<String, usize>,
    attempts: u64,
    /// Answers between two looks of the journal, smoothed: what the connections do while a commit is under way.
    pace_of_answers: usize,
}

struct RelayState {
    breaker: Breaker,
    pace: Pace,
    taken: u64,
}

struct SiteState {
    breaker: Breaker,
    pace: Option<Pace>,
    with_relay: usize,
}

/// Why nothing can be taken now.
enum Blocked {
    Empty,
    Until(Duration),
    Closing,
}

impl Lanes {
    pub fn new(setup: Rc<Setup>, observer: Rc<dyn Observer>) -> Rc<Lanes> {
        let relays = setup.relays.iter().map(|lane| RelayState {
            breaker: Breaker::new(format!("relay `{}`", lane.relay.name())),
            pace: Pace::new(format!("relay/{}", lane.relay.name()), lane.rate, 1),
            taken: 0,
        });
        let inner = Inner {
            waiting: VecDeque::new(),
            begun: HashMap::new(),
            answers: Vec::new(),
            relays: relays.collect(),
            sites: BTreeMap::new(),
            pace: Pace::new("rate".to_string(), setup.rate.rate, setup.rate.burst),
            next_ticket: 0,
            closing: false,
            reserved: BTreeMap::new(),
            attempts: 0,
            pace_of_answers: 0,
        };
        Rc::new(Lanes {
            setup,
            observer,
            inner: RefCell::new(inner),
            connected: Notify::new(),
            connected_waiting: Cell::new(0),
            unconnected: Notify::new(),
            answered: Notify::new(),
        })
    }

    pub fn set_rate(&self, rate: Rate, burst: u32) {
        self.inner.borrow_mut().pace.set_rate(rate, burst);
        self.wake();
    }

    /// Claimed messages come in.
    pub fn hand_over(&self, messages: Vec<Handed>) {
        if messages.is_empty() {
            return;
        }
        self.inner.borrow_mut().waiting.extend(messages);
        self.wake();
    }

    /// What came back since the last call.
    pub fn answers(&self) -> Vec<Answer> {
        let mut inner = self.inner.borrow_mut();
        let answers = std::mem::take(&mut inner.answers);
        inner.pace_of_answers = (inner.pace_of_answers * 7 / 8).max(answers.len());
        answers
    }

    pub fn attempts(&self) -> u64 {
        self.inner.borrow().attempts
    }

    /// Messages waiting or with a relay.
    pub fn outstanding(&self) -> usize {
        let inner = self.inner.borrow();
        inner.waiting.len() + inner.begun.len()
    }

    /// Messages of a partition that have not begun come back unused: it is being given up.
    pub fn take_back(&self, at: TopicPartition) {
        self.take_back_if(|handed| handed.at == at, "its partition is given up");
    }

    /// Messages whose claim has grown old come back unused.
    pub fn take_back_old(&self) {
        let now = self.setup.clock.since_boot();
        self.take_back_if(|handed| handed.valid_until <= now, "its claim grew old");
    }

    fn take_back_if(&self, which: impl Fn(&Handed) -> bool, why: &str) {
        let mut inner = self.inner.borrow_mut();
        let (back, stay) = std::mem::take(&mut inner.waiting)
            .into_iter()
            .partition(|handed| which(handed));
        inner.waiting = stay;
        for handed in back {
            let attempt = Attempt::NotSent {
                why: why.to_string(),
            };
            inner.answers.push(Answer {
                handed,
                relay: None,
                attempt,
                suppressed: false,
            });
        }
        if !inner.answers.is_empty() {
            self.answered.notify_one();
        }
    }

    /// No message is begun any more.
    pub fn close(&self) {
        self.inner.borrow_mut().closing = true;
        self.connected.notify_waiters();
        self.unconnected.notify_waiters();
        self.take_back_if(|_| true, "the worker is stopping");
    }

    /// How many of `most` messages may be claimed now: while every relay is held one for the probe, under a rate as
    /// many as there are slots, else what the connections can take before the next commit.
    pub fn room(&self, most: usize) -> usize {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        if inner.closing {
            return 0;
        }
        let outstanding = inner.waiting.len() + inner.begun.len();
        if inner.relays.iter().all(|relay| relay.breaker.is_open()) {
            return usize::from(outstanding == 0).min(most);
        }
        let waiting = inner.waiting.len();
        let slots = inner.pace.stock(now).saturating_sub(waiting);
        let connections: usize = self.setup.relays.iter().map(|lane| lane.connections).sum();
        let reach = 2 * connections + 3 * inner.pace_of_answers;
        most.min(slots).min(reach.saturating_sub(outstanding))
    }

    /// Fills the stocks of slots for `claimable` messages. Returns when asking again makes sense.
    pub async fn fill_paces(&self, claimable: usize) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let wanted = claimable + self.inner.borrow().waiting.len();
        if wanted == 0 {
            return None;
        }
        // The stocks are taken out while the queue is asked: connections see none in the meantime, and wait.
        let mut paces = self.limited_paces(wanted);
        let mut ask_at = None;
        for (which, pace) in &mut paces {
            let want = if *which == PaceOf::All {
                wanted
            } else {
                wanted.min(64)
            };
            if let Err(error) = pace.fill(self.setup.queue.as_ref(), want, now).await {
                self.observer
                    .notice(Notice::QueueTrouble(error.to_string()));
            }
            ask_at = ask_at.max(pace.ask_at());
        }
        self.put_back(paces);
        self.wake();
        ask_at
    }

    fn limited_paces(&self, _wanted: usize) -> Vec<(PaceOf, Pace)> {
        let mut inner = self.inner.borrow_mut();
        let mut paces = Vec::new();
        let spare = || {
            Pace::new(
                String::new(),
                Rate::Limited {
                    count: 1,
                    window: Duration::MAX,
                },
                1,
            )
        };
        if !inner.pace.is_unlimited() {
            paces.push((PaceOf::All, std::mem::replace(&mut inner.pace, spare())));
        }
        for (index, relay) in inner.relays.iter_mut().enumerate() {
            if !relay.pace.is_unlimited() {
                paces.push((
                    PaceOf::Relay(index),
                    std::mem::replace(&mut relay.pace, spare()),
                ));
            }
        }
        for (name, site) in &mut inner.sites {
            if let Some(pace) = site.pace.as_mut().filter(|pace| !pace.is_unlimited()) {
                paces.push((PaceOf::Site(name.clone()), std::mem::replace(pace, spare())));
            }
        }
        paces
    }

    fn put_back(&self, paces: Vec<(PaceOf, Pace)>) {
        let mut inner = self.inner.borrow_mut();
        for (which, pace) in paces {
            match which {
                PaceOf::All => inner.pace = pace,
                PaceOf::Relay(index) => {
                    if let Some(relay) = inner.relays.get_mut(index) {
                        relay.pace = pace;
                    }
                }
                PaceOf::Site(name) => {
                    if let Some(site) = inner.sites.get_mut(&name) {
                        site.pace = Some(pace);
                    }
                }
            }
        }
    }

    /// Mail to this domain is held back: its site's breaker is open and no probe is due.
    pub fn is_closed(&self, address: &str) -> bool {
        let now = self.setup.clock.since_boot();
        let site = address::site_of(address);
        let inner = self.inner.borrow();
        inner
            .sites
            .get(site)
            .is_some_and(|state| state.breaker.is_holding(now))
    }

    /// As much of this site's mail is under way as its limits let.
    pub fn is_full(&self, address: &str) -> bool {
        self.site_room(address) == 0
    }

    /// Counts one more for the address's site among those claimed in this cycle, if its limits let.
    pub fn reserve(&self, address: &str) -> bool {
        let room = self.site_room(address);
        if room == usize::MAX {
            return true;
        }
        if room > 0 {
            let site = address::site_of(address).to_string();
            *self.inner.borrow_mut().reserved.entry(site).or_default() += 1;
        }
        room > 0
    }

    /// A new cycle claims.
    pub fn begin_reserving(&self) {
        self.inner.borrow_mut().reserved.clear();
    }

    fn site_room(&self, address: &str) -> usize {
        let site = address::site_of(address);
        let Some(limit) = self.setup.sites.get(site) else {
            return usize::MAX;
        };
        let inner = self.inner.borrow();
        let waiting = inner
            .waiting
            .iter()
            .filter(|handed| handed.site == site)
            .count();
        let with_relay = inner.sites.get(site).map_or(0, |state| state.with_relay);
        let reserved = inner.reserved.get(site).copied().unwrap_or(0);
        limit
            .connections
            .saturating_sub(waiting + with_relay + reserved)
    }

    fn wake(&self) {
        if self.connected_waiting.get() > 0 {
            self.connected.notify_one();
        } else {
            self.unconnected.notify_one();
        }
    }

    /// Feeds a breaker and tells the operator where it changed.
    fn signal(&self, relay: usize, site: Option<&str>, signal: Signal) {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        let notice = match site {
            None => inner
                .relays
                .get_mut(relay)
                .and_then(|state| state.breaker.report(now, signal)),
            Some(site) => inner
                .sites
                .get_mut(site)
                .and_then(|state| state.breaker.report(now, signal)),
        };
        drop(inner);
        if let Some(notice) = notice {
            self.observer.notice(Notice::Breaker(notice.to_string()));
        }
    }

    /// What an attempt tells the breakers of its relay and site.
    pub fn judge(&self, answer: &Answer, relay: Option<Signal>, site: Option<Signal>) {
        let Some(index) = self.relay_index(answer.relay.as_deref()) else {
            return;
        };
        if let Some(signal) = relay {
            self.signal(index, None, signal);
        }
        if let Some(signal) = site {
            self.signal(index, Some(&answer.handed.site), signal);
        }
    }

    fn relay_index(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.setup
            .relays
            .iter()
            .position(|lane| lane.relay.name() == name)
    }

    /// Takes the next message for a relay, if one may begin this moment.
    fn take(&self, relay: usize, has_probe: bool) -> Result<Handed, Blocked> {
        let now = self.setup.clock.since_boot();
        self.take_back_old();
        let mut inner = self.inner.borrow_mut();
        if inner.closing {
            return Err(Blocked::Closing);
        }
        if inner.waiting.is_empty() {
            return Err(Blocked::Empty);
        }
        inner.may_take(relay, has_probe, now)?;
        let index = inner.next_for_site(&self.setup, now)?;
        let handed = inner.waiting.remove(index).ok_or(Blocked::Empty)?;
        inner.use_slots(relay, &handed.site, now);
        Ok(handed)
    }

    fn begin(&self, handed: Handed) -> Outgoing {
        let mut inner = self.inner.borrow_mut();
        inner.next_ticket += 1;
        let ticket = inner.next_ticket;
        let line = &handed.message.line;
        let outgoing = Outgoing {
            ticket,
            return_path: line.return_path.clone(),
            recipient: line.address.clone(),
            message_id: line.id.clone(),
            content: handed.message.content.clone(),
        };
        inner.begun.insert(ticket, handed);
        outgoing
    }

    fn answer(&self, handed: Handed, relay: Option<String>, attempt: Attempt, suppressed: bool) {
        self.inner.borrow_mut().answers.push(Answer {
            handed,
            relay,
            attempt,
            suppressed,
        });
        self.answered.notify_one();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PaceOf {
    All,
    Relay(usize),
    Site(String),
}

impl Inner {
    /// The relay's breaker, its share by weight, its rate and the queue's.
    fn may_take(&mut self, relay: usize, has_probe: bool, now: Duration) -> Result<(), Blocked> {
        let state = self.relays.get_mut(relay).ok_or(Blocked::Closing)?;
        if !has_probe
            && state.breaker.is_open()
            && let Permit::Wait(until) = state.breaker.may_try(now)
        {
            return Err(Blocked::Until(until));
        }
        let opens = [state.pace.opens(now), self.pace.opens(now)];
        match opens {
            [Some(relay), Some(all)] if relay.max(all) <= now => Ok(()),
            [Some(relay), Some(all)] => Err(Blocked::Until(relay.max(all))),
            _ => Err(Blocked::Empty),
        }
    }

    /// The first waiting message whose site takes mail now.
    fn next_for_site(&mut self, setup: &Setup, now: Duration) -> Result<usize, Blocked> {
        let mut until: Option<Duration> = None;
        for index in 0..self.waiting.len() {
            let Some(site) = self.waiting.get(index).map(|handed| handed.site.clone()) else {
                break;
            };
            match self.site_opens(setup, &site, now) {
                Some(at) if at <= now => return Ok(index),
                Some(at) => until = Some(until.map_or(at, |earlier| earlier.min(at))),
                None => {}
            }
        }
        Err(until.map_or(Blocked::Empty, Blocked::Until))
    }

    /// When a site takes its next message; `None`: when one of its messages comes back.
    fn site_opens(&mut self, setup: &Setup, site: &str, now: Duration) -> Option<Duration> {
        let state = self.site(setup, site);
        if state.breaker.is_open()
            && let Permit::Wait(until) = state.breaker.may_try(now)
        {
            return Some(until);
        }
        let limit = setup
            .sites
            .get(site)
            .map_or(usize::MAX, |limit| limit.connections);
        if state.with_relay >= limit {
            return None;
        }
        match &mut state.pace {
            Some(pace) => pace.opens(now),
            None => Some(now),
        }
    }

    fn site(&mut self, setup: &Setup, site: &str) -> &mut SiteState {
        if self.sites.len() > MAX_SITES && !self.sites.contains_key(site) {
            self.sites
                .retain(|_, state| state.with_relay > 0 || state.breaker.is_open());
        }
        self.sites
            .entry(site.to_string())
            .or_insert_with(|| SiteState {
                breaker: Breaker::new(format!("site `{site}`")),
                pace: setup
                    .sites
                    .get(site)
                    .map(|limit| Pace::new(format!("site/{site}"), limit.rate, 1)),
                with_relay: 0,
            })
    }

    fn use_slots(&mut self, relay: usize, site: &str, now: Duration) {
        self.pace.take(now);
        if let Some(state) = self.relays.get_mut(relay) {
            state.pace.take(now);
            state.taken += 1;
        }
        if let Some(state) = self.sites.get_mut(site) {
            if let Some(pace) = &mut state.pace {
                pace.take(now);
            }
            state.with_relay += 1;
        }
    }
}

/// One connection's view of the lanes.
struct RelayFeed {
    lanes: Rc<Lanes>,
    relay: usize,
    /// This connection was opened as a probe: its first message may go though the breaker is open.
    probe: Cell<bool>,
}

impl RelayFeed {
    fn pull(&self) -> Result<Outgoing, Blocked> {
        let handed = self.lanes.take(self.relay, self.probe.get())?;
        self.probe.set(false);
        Ok(self.lanes.begin(handed))
    }

    fn relay_name(&self) -> Option<String> {
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
        loop {
            let woken = self.lanes.connected.notified();
            match self.pull() {
                Ok(outgoing) => {
                    // Whoever waits beside this connection may have more to take.
                    if !self.lanes.inner.borrow().waiting.is_empty() {
                        self.lanes.wake();
                    }
                    return Some(outgoing);
                }
                Err(Blocked::Closing) => return None,
                Err(blocked) => {
                    let waiting = Waiting::begin(&self.lanes.connected_waiting);
                    self.lanes.wait(woken, blocked).await;
                    drop(waiting);
                }
            }
        }
    }

    fn try_next(&self) -> Option<Outgoing> {
        self.pull().ok()
    }

    fn may_finish(&self, ticket: u64) -> bool {
        let now = self.lanes.setup.clock.since_boot();
        self.lanes
            .inner
            .borrow()
            .begun
            .get(&ticket)
            .is_some_and(|handed| now < handed.valid_until)
    }

    fn begun(&self, _ticket: u64, _at: SystemTime) {
        self.lanes.inner.borrow_mut().attempts += 1;
    }

    fn done(&self, ticket: u64, attempt: Attempt) {
        let mut inner = self.lanes.inner.borrow_mut();
        let Some(handed) = inner.begun.remove(&ticket) else {
            return;
        };
        if let Some(state) = inner.sites.get_mut(&handed.site) {
            state.with_relay = state.with_relay.saturating_sub(1);
        }
        drop(inner);
        self.lanes.answer(handed, self.relay_name(), attempt, false);
    }
}

/// Counts a waiting connection for as long as it waits, also when its task ends meanwhile.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Cell<usize>) -> Waiting<'a> {
        count.set(count.get() + 1);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Lanes {
    async fn wait(&self, woken: tokio::sync::futures::Notified<'_>, blocked: Blocked) {
        match blocked {
            Blocked::Until(at) => {
                let now = self.setup.clock.since_boot();
                let _ = tokio::time::timeout(at.saturating_sub(now), woken).await;
            }
            Blocked::Empty | Blocked::Closing => woken.await,
        }
    }

    /// Waits until a message waits that no open connection is there for, and the breaker lets one connect.
    /// `Some(true)`: as a probe. `None`: the worker is stopping.
    async fn may_connect(&self, relay: usize) -> Option<bool> {
        loop {
            let woken = self.unconnected.notified();
            let blocked = {
                let now = self.setup.clock.since_boot();
                let mut inner = self.inner.borrow_mut();
                if inner.closing {
                    return None;
                }
                let wanted = inner.waiting.len() > self.connected_waiting.get();
                let state = inner.relays.get_mut(relay).filter(|_| wanted);
                match state.map(|state| state.breaker.may_try(now)) {
                    Some(Permit::Go) => return Some(false),
                    Some(Permit::Probe) => return Some(true),
                    Some(Permit::Wait(until)) => Blocked::Until(until),
                    None => Blocked::Empty,
                }
            };
            self.wait(woken, blocked).await;
        }
    }

    fn ended(&self, relay: usize, end: &End) {
        let signal = match end {
            End::Finished | End::Parted { .. } => return,
            End::Closed {
                reply: Some(reply), ..
            } => Signal::Refused(reply.to_string()),
            End::Closed { why, .. } => Signal::Deferred(why.clone()),
            End::Unavailable {
                reply: Some(reply), ..
            } => Signal::Refused(reply.to_string()),
            End::Unavailable { why, .. } => Signal::Refused(why.clone()),
        };
        self.signal(relay, None, signal);
    }
}

/// One task for each connection that may be open; each connects only when there is something to send.
pub fn open_connections(lanes: &Rc<Lanes>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for (relay, lane) in lanes.setup.relays.iter().enumerate() {
        for _ in 0..lane.connections.max(1) {
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
        let feed = RelayFeed {
            lanes: lanes.clone(),
            relay,
            probe: Cell::new(probe),
        };
        let end = lane.relay.converse(&feed).await;
        lanes.ended(relay, &end);
    }
}
