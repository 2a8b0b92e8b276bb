//! Puts what several queries need into facts: places in the queue, letters, and what replays and purges name.

use super::error::AccountError;
use super::fact::Fact;
use super::facts::Facts;
use super::letters::kept_letters;
use super::naming::{By, namings};
use super::places::{Place, Scope, Visitor, walk};
use super::view::View;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::ops::ControlFlow;
use std::path::Path;

/// Where queued messages are. Resolves to whether some records had been dropped since the view was read.
pub async fn collect_places(
    facts: &mut Facts,
    queue: &dyn Queue,
    view: &View,
    scope: Scope<'_>,
) -> Result<bool, AccountError> {
    let is_torn = walk(queue, view, scope, &mut Places(facts)).await?;
    facts.check()?;
    Ok(is_torn)
}

struct Places<'f>(&'f mut Facts);

impl Visitor for Places<'_> {
    fn place(&mut self, place: Place<'_>) {
        let Place { run, row, kind, .. } = place;
        let address = place.line.map_or("", |line| &line.address);
        let fact = match place.line {
            Some(line) if place.is_moving => Fact::Moving {
                kind,
                round: line.round,
                hop: line.hop,
                address,
            },
            _ => Fact::Queued {
                kind,
                is_unread: place.is_unread,
                address,
            },
        };
        let _ = self.0.add(run, row, &fact);
    }

    fn trouble(&mut self, what: String) {
        self.0.findings.add(what);
    }
}

/// The letters that purges and sealed replays name.
pub fn collect_named(facts: &mut Facts, ledger: &Ledger) -> Result<(), AccountError> {
    for naming in namings(ledger)?.iter().filter(|naming| naming.is_void()) {
        for letter in &naming.letters {
            let fact = Fact::Named {
                round: letter.round,
                in_doubt: letter.in_doubt,
                replay: match naming.by {
                    By::Replay { run, .. } => Some(run),
                    By::Purge => None,
                },
            };
            let _ = facts.add(naming.origin, letter.row, &fact);
        }
    }
    facts.check()
}

/// The letters that the dlq has.
pub async fn collect_letters(
    facts: &mut Facts,
    queue: &dyn Queue,
    ledger: &Ledger,
    folder: &Path,
) -> Result<(), AccountError> {
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Dlq, partition);
        kept_letters(queue, at, folder, &mut |letter| match letter {
            Ok(letter) => {
                let fact = Fact::Letter {
                    round: letter.round,
                    in_doubt: letter.in_doubt,
                };
                facts.add(ledger.counts_for(letter.run), letter.row, &fact)
            }
            Err(what) => {
                facts.findings.add(what);
                ControlFlow::Continue(())
            }
        })
        .await?;
    }
    facts.check()
}
