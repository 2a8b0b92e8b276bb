//! The campaign topic: read to its end into a ledger, appended to.

use super::error::AccountError;
use super::scan::scan;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, Record, Stored};
use std::ops::ControlFlow;

/// The one partition of the campaign topic.
pub const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);

/// The campaign topic to its end. `with_letters`: also the ids that replays and purges name.
pub async fn read_ledger(queue: &dyn Queue, with_letters: bool) -> Result<Ledger, AccountError> {
    let mut ledger = if with_letters {
        Ledger::with_letters()
    } else {
        Ledger::default()
    };
    catch_up(queue, &mut ledger).await?;
    Ok(ledger)
}

/// Folds in what the campaign topic holds beyond the ledger's position, up to its end as it is now.
pub async fn catch_up(queue: &dyn Queue, ledger: &mut Ledger) -> Result<(), AccountError> {
    let end = queue.bounds(CAMPAIGN).await?.end;
    let (mut wrong, from) = (None, ledger.position());
    let fold = &mut |stored: Stored| {
        let key = stored.record.key.as_deref().unwrap_or_default();
        match ledger.apply(stored.offset, key, stored.record.payload.as_deref()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    scan(queue, CAMPAIGN, from, end, fold).await?;
    if let Some(error) = wrong {
        return Err(error.into());
    }
    ledger.read_to(end);
    Ok(())
}

/// Appends records to the campaign topic, durable when it resolves.
pub async fn announce(queue: &dyn Queue, records: &[CampaignRecord]) -> Result<(), AccountError> {
    let records: Result<Vec<Record>, serde_json::Error> = records
        .iter()
        .map(|record| {
            Ok(Record {
                key: Some(record.key()),
                headers: Vec::new(),
                payload: Some(serde_json::to_vec(record)?.into()),
            })
        })
        .collect();
    queue.append(CAMPAIGN, records?).await?;
    Ok(())
}
