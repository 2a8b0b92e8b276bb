//! The rate belongs to the queue: published at the start, followed from then on, and shared out where each worker has
//! a token bucket of its own.

use crate::domain::records::{CampaignRecord, RateInForce};
use crate::engine::limits::shares::ShareSchedule;
use crate::engine::limits::shares::Shares;
use crate::engine::worker::lanes::Lanes;
use crate::engine::worker::records::{CAMPAIGN, campaign_record};
use crate::engine::worker::settings::{Notice, Observer, Setup, WorkerError};
use crate::protocol::Ledger;
use crate::queue::Record;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub struct RateControl {
    in_force: RateInForce,
    shares: Option<Shares>,
}

impl RateControl {
    pub fn new(setup: &Setup) -> RateControl {
        RateControl {
            in_force: setup.rate.clone(),
            shares: None,
        }
    }

    /// The record that publishes the setup's rate: a given one where it differs from that in force or was given to another
    /// worker, because it ends with that one; the default only where there is none.
    pub fn to_publish(setup: &Setup, ledger: &Ledger) -> Result<Option<Record>, WorkerError> {
        if setup.relays.is_empty() {
            // It only settles what others left, and sends nothing.
            return Ok(None);
        }
        let mine = &setup.rate;
        let publish = match ledger.rate() {
            None => true,
            Some(in_force) => {
                let differs = (in_force.rate, in_force.burst) != (mine.rate, mine.burst);
                let is_anothers =
                    mine.given_to().is_some() && mine.given_to() != in_force.given_to();
                setup.publish_rate && (differs || is_anothers)
            }
        };
        let record =
            publish.then(|| campaign_record(CAMPAIGN, &CampaignRecord::Rate(mine.clone())));
        Ok(record.transpose()?)
    }

    /// Nothing may be sent before the first share is known to be this worker's. The task reads the others' progress.
    pub fn open_shares(
        &mut self,
        setup: &Setup,
        wake: Rc<Notify>,
        lanes: &Lanes,
    ) -> Option<JoinHandle<()>> {
        let (queue, clock) = (setup.queue.clone(), setup.clock.clone());
        let (shares, task) = Shares::open(&setup.name, queue, clock, wake)?;
        lanes.set_shares(&ShareSchedule::new(&setup.name));
        self.shares = Some(shares);
        Some(tokio::task::spawn_local(task))
    }

    /// The ledger has been read to its end: it says whose work may go. `owns`: a partition's commit names this worker.
    pub fn follow_shares(&mut self, ledger: &Ledger, owns: bool, lanes: &Lanes) {
        if let Some(shares) = &mut self.shares
            && let Some(schedule) = shares.follow(ledger, owns)
        {
            lanes.set_shares(schedule);
        }
    }

    /// When this worker's share changes though nothing else does.
    pub fn shares_change_at(&self) -> Option<Duration> {
        self.shares.as_ref().and_then(Shares::changes_at)
    }

    /// Takes the rate in force.
    pub fn take(&mut self, ledger: &Ledger, lanes: &Lanes) {
        if let Some(new) = ledger.rate().filter(|new| **new != self.in_force) {
            lanes.set_rate(new.rate, new.burst);
            self.in_force = new.clone();
        }
    }

    /// Takes the rate in force, and tells the operator where it has changed.
    pub fn follow(&mut self, ledger: &Ledger, lanes: &Lanes, observer: &dyn Observer) {
        let old = self.in_force.clone();
        self.take(ledger, lanes);
        let new = self.in_force.clone();
        if (old.rate, old.burst) != (new.rate, new.burst) {
            observer.notice(Notice::RateChanged { old, new });
        }
    }
}
