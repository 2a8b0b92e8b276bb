//! The worker as an observer sees it: the figures of the journal and the state of the lanes, put together when asked.

use super::figures::{Figures, Snapshot, Vitals, Watched};
use super::lanes::Lanes;
use super::settings::Setup;
use crate::clock::Clock;
use crate::domain::site::Sites;
use crate::protocol::Ledger;
use crate::protocol::machine::PendingEvent;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub struct Watch {
    clock: Rc<dyn Clock>,
    lanes: Rc<Lanes>,
    /// Which domains are one site.
    groups: Rc<Sites>,
    figures: RefCell<Figures>,
    vitals: Cell<Vitals>,
    /// When the last cycle of the journal ended (boot time).
    cycled_at: Cell<Duration>,
    /// Messages of open chunks that are not claimed, by site.
    unclaimed: RefCell<BTreeMap<Rc<str>, usize>>,
    count_at: Cell<Duration>,
    /// Somebody has looked since they were counted.
    is_looked_at: Cell<bool>,
}

/// Counting walks through all open chunks, so it is not done more often.
const COUNT_EVERY: Duration = Duration::from_secs(2);

impl Watch {
    pub fn new(setup: &Setup, lanes: Rc<Lanes>) -> Watch {
        let relays = setup.relays.iter();
        let relays = relays.map(|lane| lane.relay.name().to_string());
        Watch {
            clock: setup.clock.clone(),
            lanes,
            groups: setup.groups.clone(),
            figures: RefCell::new(Figures::new(relays.collect())),
            vitals: Cell::default(),
            cycled_at: Cell::new(setup.clock.since_boot()),
            unclaimed: RefCell::default(),
            count_at: Cell::default(),
            is_looked_at: Cell::default(),
        }
    }

    /// Counts events that are durable. A replay counts for its campaign like the run that it sends again.
    pub fn count(&self, events: &[PendingEvent], ledger: &Ledger) {
        let now = self.clock.now();
        let mut figures = self.figures.borrow_mut();
        for event in events {
            let run = ledger.run(event.message.run);
            let campaign = run.map_or("", |run| run.manifest.id.campaign.as_str());
            let site = self.groups.of_address(&event.message.message.line.address);
            let outcome = event.outcome.event_type();
            figures.count((campaign, site), outcome, &event.details, now);
        }
    }

    pub fn delivered_after(&self, latency: Duration) {
        self.figures.borrow_mut().delivered_after(latency);
    }

    pub fn cycle_took(&self, time: Duration) {
        self.figures.borrow_mut().cycle_took(time);
    }

    pub fn is_count_due(&self, now: Duration) -> bool {
        self.is_looked_at.get() && self.count_at.get() <= now
    }

    pub fn counted(&self, unclaimed: BTreeMap<Rc<str>, usize>, now: Duration) {
        self.unclaimed.replace(unclaimed);
        self.count_at.set(now + COUNT_EVERY);
        self.is_looked_at.set(false);
    }

    pub fn cycle_ended(&self, vitals: Vitals, now: Duration) {
        self.vitals.set(vitals);
        self.cycled_at.set(now);
    }
}

impl Watched for Watch {
    fn snapshot(&self) -> Snapshot {
        let now = self.clock.since_boot();
        let vitals = Vitals {
            idle_for: now.saturating_sub(self.cycled_at.get()),
            ..self.vitals.get()
        };
        self.is_looked_at.set(true);
        let mut lanes = self.lanes.state();
        for (site, count) in self.unclaimed.borrow().iter() {
            let state = lanes.sites.entry(site.to_string()).or_default();
            state.unclaimed = *count;
            state.parked = if state.paused > 0 { *count } else { 0 };
        }
        self.figures.borrow_mut().snapshot(lanes, vitals)
    }
}
