//! Which letters are spoken for: of all replays and purges that name a letter (id and round), the first in the log
//! has it. A replay's letter is void once that replay is sealed, a purged one at once, whenever the record lands.

use super::error::AccountError;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::{LetterRef, Letters};
use crate::protocol::{Ledger, RunFacts};
use std::collections::HashSet;

/// What one replay or purge has of the letters that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The run that the letters count for.
    pub origin: RunKey,
    pub by: By,
    /// Sorted by row; without those that an earlier one names.
    pub letters: Vec<LetterRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// This replay, and whether it is sealed.
    Replay {
        run: RunKey,
        is_sealed: bool,
    },
    Purge,
}

impl Naming {
    /// The letters are not to be listed, replayed or counted any more.
    pub fn is_void(&self) -> bool {
        !matches!(
            self.by,
            By::Replay {
                is_sealed: false,
                ..
            }
        )
    }

    /// The messages were queued again: they do not count as dead any more.
    pub fn is_replayed(&self) -> bool {
        matches!(
            self.by,
            By::Replay {
                is_sealed: true,
                ..
            }
        )
    }
}

/// In log order. The ledger was read with letters. Errors: a replay's pieces are not all there.
pub fn namings(ledger: &Ledger) -> Result<Vec<Naming>, AccountError> {
    let mut found: Vec<(Offset, Naming)> = Vec::new();
    for run in ledger.runs() {
        if let Some(naming) = replay(ledger, run)? {
            found.push((run.manifest_offset, naming));
        }
    }
    for (offset, piece) in ledger.purged() {
        let naming = Naming {
            origin: piece.key,
            by: By::Purge,
            letters: piece.letters.clone(),
        };
        found.push((*offset, naming));
    }
    found.sort_by_key(|(offset, _)| *offset);
    let mut taken: HashSet<(String, u32)> = HashSet::new();
    let mut namings: Vec<Naming> = found.into_iter().map(|(_, naming)| naming).collect();
    for naming in &mut namings {
        naming
            .letters
            .retain(|letter| taken.insert((letter.id.clone(), letter.round)));
        naming.letters.sort();
    }
    Ok(namings)
}

/// A replay that was cancelled or dropped before its seal never sends: it names nothing.
fn replay(ledger: &Ledger, run: &RunFacts) -> Result<Option<Naming>, AccountError> {
    let Some(origin) = run.manifest.replay_of else {
        return Ok(None);
    };
    let is_sealed = run.seal.is_some();
    if !is_sealed && (run.cancel.is_some() || run.dropped.is_some()) {
        return Ok(None);
    }
    let pieces: Vec<&Letters> = ledger.letters(run);
    if pieces.len() != run.manifest.pieces as usize {
        return Err(AccountError::Pieces {
            run: run.manifest.id.to_string(),
            found: pieces.len(),
            expected: run.manifest.pieces,
        });
    }
    Ok(Some(Naming {
        origin,
        by: By::Replay {
            run: run.manifest.key,
            is_sealed,
        },
        letters: pieces
            .iter()
            .flat_map(|piece| piece.letters.clone())
            .collect(),
    }))
}
