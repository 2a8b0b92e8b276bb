//! The topics that a worker reads as they grow: campaign (what may be sent) and suppression (who may not be mailed).

use super::records::{CAMPAIGN, SUPPRESSION};
use super::settings::WorkerError;
use crate::domain::ids::Offset;
use crate::domain::project_key::ProjectKey;
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError};
use crate::suppression::{SuppressionKey, SuppressionSet};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const STEP_BYTES: usize = 1 << 20;
/// The suppression list may be this old when a message begins.
const SUPPRESSIONS_EVERY: Duration = Duration::from_secs(1);

/// Both topics, as far as they have been read.
pub struct Followed {
    pub ledger: Ledger,
    suppressions: Rc<RefCell<Suppressions>>,
    suppressions_read_at: Duration,
}

impl Followed {
    /// Reads both to their ends. `suppressions` is also read by the lanes.
    pub async fn open(
        queue: &dyn Queue,
        suppressions: Rc<RefCell<Suppressions>>,
        now: Duration,
    ) -> Result<Followed, WorkerError> {
        let mut followed = Followed {
            ledger: Ledger::default(),
            suppressions,
            suppressions_read_at: now,
        };
        followed.refresh_ledger(queue).await?;
        Suppressions::refresh(&followed.suppressions, queue).await?;
        Ok(followed)
    }

    pub async fn refresh_ledger(&mut self, queue: &dyn Queue) -> Result<(), WorkerError> {
        refresh(&mut self.ledger, queue).await
    }

    pub async fn refresh_suppressions(
        &mut self,
        queue: &dyn Queue,
        now: Duration,
    ) -> Result<(), WorkerError> {
        if now.saturating_sub(self.suppressions_read_at) >= SUPPRESSIONS_EVERY {
            Suppressions::refresh(&self.suppressions, queue).await?;
            self.suppressions_read_at = now;
        }
        Ok(())
    }
}

/// Reads the campaign topic to its end.
async fn refresh(ledger: &mut Ledger, queue: &dyn Queue) -> Result<(), WorkerError> {
    loop {
        let records = queue.fetch(CAMPAIGN, ledger.position(), STEP_BYTES).await?;
        if records.is_empty() {
            return Ok(());
        }
        for stored in records {
            let key = stored.record.key.as_deref().unwrap_or_default();
            ledger.apply(stored.offset, key, stored.record.payload.as_deref())?;
        }
    }
}

/// The suppression list as far as it was read.
#[derive(Debug, Default)]
pub struct Suppressions {
    set: SuppressionSet,
    position: Offset,
}

impl Suppressions {
    /// Reads the suppression topic to its end. A record that is no entry is skipped, because it names no address.
    pub async fn refresh(
        list: &RefCell<Suppressions>,
        queue: &dyn Queue,
    ) -> Result<(), QueueError> {
        loop {
            let from = list.borrow().position;
            let records = queue.fetch(SUPPRESSION, from, STEP_BYTES).await?;
            if records.is_empty() {
                return Ok(());
            }
            let mut list = list.borrow_mut();
            for stored in records {
                list.position = stored.offset + 1;
                let (key, payload) = (
                    stored.record.key.as_deref(),
                    stored.record.payload.as_deref(),
                );
                if let Err(error) = list.set.apply(key, payload) {
                    tracing::warn!(offset = stored.offset, %error, "a suppression record was ignored");
                }
            }
        }
    }

    pub fn has(&self, key: &ProjectKey, address: &str) -> bool {
        !self.set.is_empty() && self.set.contains(SuppressionKey::of(key, address))
    }
}
