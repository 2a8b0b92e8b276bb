//! Removes letters for good. They are named in the campaign topic first: from there on they are void, and `verify`
//! does not miss them; removing the records is housekeeping, and a killed purge leaves nothing half done.

use super::list::{LetterFilter, ListedLetter, completed, kept};
use crate::domain::ids::RunKey;
use crate::domain::records::{CampaignRecord, LetterRef, Letters};
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::campaign_topic::{announce, catch_up, read_ledger};
use crate::engine::read_model::letter::key;
use crate::engine::read_model::naming::namings;
use crate::protocol::Ledger;
use crate::queue::{Queue, Record};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// Letters named in one record.
pub(super) const PIECE: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Purged {
    pub purged: u64,
}

/// Removes every letter that passes the filter, those in doubt included. Letters that a replay has are not touched.
pub async fn purge(
    queue: &dyn Queue,
    filter: &LetterFilter,
    dry_run: bool,
) -> Result<Purged, AccountError> {
    let mut ledger = read_ledger(queue, true).await?;
    let before = namings(&ledger)?;
    let named: HashSet<(&str, u32)> = before
        .iter()
        .flat_map(|naming| &naming.letters)
        .map(|letter| (letter.id.as_str(), letter.round))
        .collect();
    let letters: Vec<ListedLetter> = completed(queue, &ledger, &before)
        .await?
        .into_iter()
        .filter(|letter| {
            filter.takes(letter) && !named.contains(&(letter.id.as_str(), letter.round))
        })
        .collect();
    let purged = Purged {
        purged: letters.len() as u64,
    };
    if dry_run || letters.is_empty() {
        return Ok(purged);
    }
    let records: Vec<CampaignRecord> = pieces_by_run(&letters)
        .into_iter()
        .map(CampaignRecord::Purged)
        .collect();
    announce(queue, &records).await?;
    catch_up(queue, &mut ledger).await?;
    sweep(queue, &ledger).await?;
    Ok(purged)
}

fn pieces_by_run(letters: &[ListedLetter]) -> Vec<Letters> {
    let mut by_run: BTreeMap<RunKey, Vec<LetterRef>> = BTreeMap::new();
    for letter in letters {
        by_run
            .entry(letter.origin)
            .or_default()
            .push(reference(letter));
    }
    let draw = fastrand::u64(..);
    by_run
        .into_iter()
        .flat_map(|(key, letters)| pieces(key, draw, &letters))
        .collect()
}

pub(super) fn reference(letter: &ListedLetter) -> LetterRef {
    LetterRef {
        row: letter.row,
        id: letter.id.clone(),
        round: letter.round,
        in_doubt: letter.in_doubt,
    }
}

pub(super) fn pieces(key: RunKey, draw: u64, letters: &[LetterRef]) -> Vec<Letters> {
    let parts = letters.chunks(PIECE).zip(0u32..);
    parts
        .map(|(letters, piece)| Letters {
            key,
            draw,
            piece,
            letters: letters.to_vec(),
        })
        .collect()
}

/// Removes every void letter of which the dlq still has a record.
pub(super) async fn sweep(queue: &dyn Queue, ledger: &Ledger) -> Result<(), AccountError> {
    let mut tombstones: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
    for letter in kept(queue, ledger, &namings(ledger)?).await? {
        if letter.is_void {
            tombstones.entry(letter.at).or_default().push(Record {
                key: Some(key(&letter.id, letter.round)),
                ..Record::default()
            });
        }
    }
    for (at, records) in tombstones {
        for part in records.chunks(PIECE) {
            queue.append(at, part.to_vec()).await?;
        }
    }
    Ok(())
}
