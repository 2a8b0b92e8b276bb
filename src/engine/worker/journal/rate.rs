//! The rate belongs to the queue: published at the start, followed from then on, and where each worker has a bucket of
//! its own, shared out.

use super::super::settings::{Notice, WorkerError};
use super::super::shares::Shares;
use super::super::views;
use super::{Journal, campaign_record};
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::shares::Term;

impl Journal {
    /// A given rate is published where it differs from that in force; the default only where there is none.
    pub(super) async fn publish_rate(&mut self) -> Result<(), WorkerError> {
        let mine = self.setup.rate.clone();
        let publish = match self.ledger.rate() {
            None => true,
            Some(in_force) => {
                self.setup.publish_rate
                    && (in_force.rate, in_force.burst) != (mine.rate, mine.burst)
            }
        };
        if publish {
            let at = TopicPartition::new(Topic::Campaign, 0);
            let record = campaign_record(at, &CampaignRecord::Rate(mine))?;
            self.append_all(vec![(at, vec![record])]).await?;
            views::refresh(&mut self.ledger, self.setup.queue.as_ref()).await?;
        }
        Ok(())
    }

    /// Nothing may be sent before the first share is known to be this worker's.
    pub(super) fn open_shares(&mut self) {
        if let Some((shares, task)) = Shares::open(&self.setup, self.inbox.clone()) {
            self.lanes.share(&Term::new(&self.setup.name));
            self.shares = Some(shares);
            self.tasks.push(tokio::task::spawn_local(task));
        }
    }

    /// The ledger is at its end: it says whose work may go.
    pub(super) fn follow_shares(&mut self) {
        let owns = self
            .machines
            .values()
            .any(|machine| !machine.is_numbering());
        let Some(shares) = &mut self.shares else {
            return;
        };
        if let Some(term) = shares.follow(&self.setup, &self.ledger, owns) {
            self.lanes.share(term);
        }
    }

    /// Takes the rate in force.
    pub(super) fn take_rate(&mut self) {
        if let Some(new) = self.ledger.rate().filter(|new| **new != self.rate) {
            self.lanes.set_rate(new.rate, new.burst);
            self.rate = new.clone();
        }
    }

    /// The same, and says so.
    pub(super) fn follow_rate(&mut self) {
        let old = self.rate.clone();
        self.take_rate();
        let new = self.rate.clone();
        if (old.rate, old.burst) != (new.rate, new.burst) {
            self.observer.notice(Notice::RateChanged { old, new });
        }
    }
}
