//! Which letters the dlq has: of each key the last record counts, and none where that is a tombstone.

use super::error::AccountError;
use super::letter;
use super::scan::scan;
use super::sorter::Sorter;
use crate::domain::ids::{Row, RunKey};
use crate::domain::records::TopicPartitionText;
use crate::domain::topic::TopicPartition;
use crate::queue::{Queue, Stored};
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// A letter that is in the dlq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLetter {
    /// The run of the chunk that it came in: a replay, or a run from a recipients file.
    pub run: RunKey,
    pub row: Row,
    pub round: u32,
    pub in_doubt: bool,
    /// The partition that a move took it from, and the number of that move.
    pub from: TopicPartitionText,
    pub number: u64,
}

impl KeptLetter {
    /// Errors: what is wrong with the record, and where it is.
    pub fn read(at: TopicPartition, stored: &Stored) -> Result<KeptLetter, String> {
        let head = letter::head(at, stored).map_err(|error| error.to_string())?;
        Ok(KeptLetter {
            run: head.letter.key,
            row: head.row,
            round: head.round,
            in_doubt: head.letter.in_doubt,
            from: head.letter.from,
            number: head.letter.number,
        })
    }
}

/// Shows the letters that a partition of the dlq has, by key, and what cannot be read as errors.
pub async fn kept_letters(
    queue: &dyn Queue,
    at: TopicPartition,
    folder: &Path,
    visit: &mut dyn FnMut(Result<KeptLetter, String>) -> ControlFlow<()>,
) -> Result<(), AccountError> {
    let bounds = queue.bounds(at).await?;
    let (mut sorter, mut failed) = (Sorter::new(folder), None);
    let mut entry = Vec::new();
    scan(queue, at, bounds.low_watermark, bounds.end, &mut |stored| {
        let letter = match &stored.record.payload {
            None => None,
            Some(_) => match KeptLetter::read(at, &stored) {
                Ok(letter) => Some(letter),
                Err(what) => return visit(Err(what)),
            },
        };
        match encode(&stored, letter, &mut entry).and_then(|()| sorter.push(&entry)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })
    .await?;
    if let Some(error) = failed {
        return Err(AccountError::scratch(folder, error));
    }
    last_of_each(sorter, visit).map_err(|error| AccountError::scratch(folder, error))
}

/// Sorts by key, then offset. Keys of one length are compared, so that none is the beginning of another.
fn encode(stored: &Stored, letter: Option<KeptLetter>, entry: &mut Vec<u8>) -> io::Result<()> {
    let key = stored.record.key.as_deref().unwrap_or_default();
    entry.clear();
    entry.extend((key.len() as u64).to_be_bytes());
    entry.extend(key.as_bytes());
    entry.extend(stored.offset.to_be_bytes());
    Ok(serde_json::to_writer(entry, &letter)?)
}

/// Key, and letter or tombstone.
fn decode(entry: &[u8]) -> io::Result<(&[u8], Option<KeptLetter>)> {
    let read = || {
        let (length, rest) = entry.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (key, rest) = rest.split_at_checked(length)?;
        let (_, json) = rest.split_first_chunk::<8>()?;
        Some((key, json))
    };
    let (key, json) = read().ok_or(io::ErrorKind::InvalidData)?;
    Ok((key, serde_json::from_slice(json)?))
}

fn last_of_each(
    sorter: Sorter,
    visit: &mut dyn FnMut(Result<KeptLetter, String>) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut sorted = sorter.finish()?;
    let mut last: Option<(Vec<u8>, Option<KeptLetter>)> = None;
    while let Some(entry) = sorted.entry() {
        let (key, letter) = decode(entry)?;
        let before = match last.take() {
            Some((known, before)) if known != key => before,
            _ => None,
        };
        last = Some((key.to_vec(), letter));
        if before.is_some_and(|letter| visit(Ok(letter)).is_break()) {
            return Ok(());
        }
        sorted.advance()?;
    }
    if let Some((_, Some(letter))) = last {
        let _ = visit(Ok(letter));
    }
    Ok(())
}
