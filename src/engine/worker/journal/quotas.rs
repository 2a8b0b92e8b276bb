//! Reserves messages of daily quotas in the campaign topic, and deletes the reservations of earlier days.

use super::Journal;
use crate::domain::records::CampaignRecord;
use crate::engine::worker::lanes::ToReserve;
use crate::engine::worker::records::{CAMPAIGN, campaign_record};
use crate::engine::worker::settings::{Notice, WorkerError};
use crate::queue::Record;

/// Outdated reservations that are deleted in one cycle.
const DELETED_AT_ONCE: usize = 100;

impl Journal {
    /// Reserves for so many messages, where a relay has a quota. What was reserved may be used when it was read in the
    /// log, because its place there decides.
    pub(super) async fn reserve(&mut self, claimable: usize) -> Result<(), WorkerError> {
        self.look_at_quotas();
        for wanted in self.lanes.to_reserve(claimable) {
            self.write_reservation(&wanted).await?;
        }
        self.look_at_quotas();
        self.lanes.tell_used_up();
        Ok(())
    }

    fn look_at_quotas(&self) {
        let known = self.followed.ledger.reservations();
        self.lanes.look_at_quotas(known);
    }

    /// It is not written again after an error: if it lands all the same, it is lost.
    async fn write_reservation(&mut self, wanted: &ToReserve) -> Result<(), WorkerError> {
        let record = CampaignRecord::Reservation(wanted.reservation.clone());
        let record = campaign_record(CAMPAIGN, &record)?;
        let queue = self.setup.queue.clone();
        if let Err(error) = queue.append(CAMPAIGN, vec![record]).await {
            queue.check()?;
            let trouble = Notice::QueueTrouble(error.to_string());
            self.observer.notice(trouble);
            return Ok(());
        }
        self.followed.refresh_ledger(queue.as_ref()).await?;
        self.lanes
            .reserved(self.followed.ledger.reservations(), wanted);
        Ok(())
    }

    /// Several workers may delete the same ones, which is harmless.
    pub(super) fn delete_outdated_reservations(&mut self) {
        let known = self.followed.ledger.reservations();
        let outdated = known.outdated().take(DELETED_AT_ONCE);
        let records: Vec<Record> = outdated
            .map(|key| Record {
                key: Some(key.to_string()),
                headers: Vec::new(),
                payload: None,
            })
            .collect();
        for record in records {
            self.outbox.add(CAMPAIGN, record);
        }
    }
}
