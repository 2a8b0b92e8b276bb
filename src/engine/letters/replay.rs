//! Sends letters again, as a run of its own for each run that they come from. The ids go first, then the manifest,
//! which makes the letters its own; then the chunks, which anybody may finish; then the seal, which makes the letters
//! void. Killed anywhere, the next replay goes on from what is there.

use super::list::{LetterFilter, ListedLetter, completed, kept};
use super::purge::{PIECE, pieces, reference, sweep};
use crate::clock::Clock;
use crate::domain::chunk::{ChunkHead, MAX_ROWS, MessageLine};
use crate::domain::content::MessageContent;
use crate::domain::digest::hex;
use crate::domain::ids::{Offset, Partition, Row, RunId, RunKey};
use crate::domain::records::{CampaignRecord, LetterRef, Manifest, Seal, Tally};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::campaign_topic::{announce, catch_up, read_ledger};
use crate::engine::read_model::letter::{key, read};
use crate::engine::read_model::naming::{By, Naming, namings};
use crate::engine::read_model::scan::record_at;
use crate::engine::timestamp::timestamp;
use crate::protocol::ledger::RunState;
use crate::protocol::{Ledger, RunFacts};
use crate::queue::Queue;
use crate::queue::chunk::{Origin, pack};
use bytes::Bytes;
use ring::digest;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Who replays, and with what.
pub struct Replayer<'a> {
    pub queue: &'a dyn Queue,
    pub clock: &'a dyn Clock,
    /// Host and verb: `mail-1/replay`.
    pub source: &'a str,
    pub trace_id: &'a str,
}

/// The JSON of `dlq replay --json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ReplayReport {
    /// The first of `runs`.
    pub run: Option<String>,
    /// One for each run that letters came from, those included that an earlier call had begun: `campaign/run`.
    pub runs: Vec<String>,
    pub replayed: u64,
    /// Asked for, and sent again by an earlier replay.
    pub already_replayed: u64,
    /// Their run has expired or was cancelled, or they are in doubt and were not asked for.
    pub skipped: u64,
    /// Those in doubt are the last ones.
    pub skipped_ids: Vec<String>,
    /// How many of `skipped` are in doubt.
    pub in_doubt: u64,
}

impl Replayer<'_> {
    /// Finishes what earlier replays began, then sends what passes the filter; what is in doubt only where that is
    /// asked for.
    pub async fn replay(
        &self,
        filter: &LetterFilter,
        dry_run: bool,
    ) -> Result<ReplayReport, AccountError> {
        let mut ledger = read_ledger(self.queue, true).await?;
        let mut report = ReplayReport::default();
        if !dry_run {
            for run in unsealed(&ledger)? {
                self.finish(run, &mut ledger, &mut report).await?;
            }
        }
        for (origin, letters) in self.choose(filter, &ledger, &mut report).await? {
            if dry_run {
                report.replayed += letters.len() as u64;
                continue;
            }
            let run = self.begin(origin, &letters, &mut ledger).await?;
            self.finish(run, &mut ledger, &mut report).await?;
        }
        if !dry_run {
            sweep(self.queue, &ledger).await?;
        }
        report.run = report.runs.first().cloned();
        Ok(report)
    }

    /// Letters to send, by the run that they count for.
    async fn choose(
        &self,
        filter: &LetterFilter,
        ledger: &Ledger,
        report: &mut ReplayReport,
    ) -> Result<BTreeMap<RunKey, Vec<LetterRef>>, AccountError> {
        let namings = namings(ledger)?;
        let named: HashMap<(&str, u32), &Naming> = namings
            .iter()
            .flat_map(|naming| naming.letters.iter().map(move |letter| (letter, naming)))
            .map(|(letter, naming)| ((letter.id.as_str(), letter.round), naming))
            .collect();
        let mut chosen: BTreeMap<RunKey, BTreeMap<Row, LetterRef>> = BTreeMap::new();
        let (mut known, mut in_doubt) = (HashSet::new(), Vec::new());
        for letter in completed(self.queue, ledger, &namings).await? {
            if !filter.takes(&letter) {
                continue;
            }
            known.insert(letter.id.clone());
            match named.get(&(letter.id.as_str(), letter.round)) {
                None if letter.in_doubt && !filter.in_doubt => in_doubt.push(letter.id),
                Some(_) if letter.in_doubt && !filter.in_doubt => {}
                Some(naming) if naming.by == By::Purge => {}
                Some(_) => report.already_replayed += 1,
                None if self.is_sendable(&letter, ledger) => {
                    let letters = chosen.entry(letter.origin).or_default();
                    letters.insert(letter.row, reference(&letter));
                }
                None => report.skipped_ids.push(letter.id),
            }
        }
        report.in_doubt = in_doubt.len() as u64;
        report.skipped_ids.extend(in_doubt);
        report.skipped = report.skipped_ids.len() as u64;
        let gone = namings.iter().filter(|naming| naming.is_replayed());
        let gone: HashSet<&str> = gone
            .flat_map(|naming| naming.letters.iter().map(|letter| letter.id.as_str()))
            .collect();
        let asked = filter.ids.iter().filter(|id| !known.contains(*id));
        report.already_replayed += asked.filter(|id| gone.contains(id.as_str())).count() as u64;
        let chosen = chosen.into_iter();
        Ok(chosen
            .map(|(key, rows)| (key, rows.into_values().collect()))
            .collect())
    }

    fn is_sendable(&self, letter: &ListedLetter, ledger: &Ledger) -> bool {
        let now = self.clock.now();
        let is_expired = ledger.has_expired(letter.origin, now);
        let state = ledger.run_state(letter.origin, now);
        !is_expired && !matches!(state, RunState::Cancelled | RunState::Dropped)
    }

    /// Names the letters, then opens the run.
    pub async fn begin(
        &self,
        origin: RunKey,
        letters: &[LetterRef],
        ledger: &mut Ledger,
    ) -> Result<RunKey, AccountError> {
        let draw = fastrand::u64(..);
        let of = ledger.run(origin).map(|run| run.manifest.clone());
        let of = of.ok_or_else(|| AccountError::NoCampaign(origin.to_string()))?;
        let id = RunId::new(&of.id.campaign, format!("replay-{draw:016x}/{}", of.id.run));
        let key = id.key();
        let pieces = pieces(key, draw, letters);
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let mut first = Vec::new();
        for partition in 0..self.queue.partitions() {
            first.push(self.queue.bounds(send(partition)).await?.end);
        }
        for piece in pieces {
            announce(self.queue, &[CampaignRecord::Letters(piece)]).await?;
        }
        let manifest = Manifest {
            id,
            key,
            draw,
            fingerprint: fingerprint(letters),
            inputs: BTreeMap::new(),
            replay_of: Some(origin),
            first,
            chunk_rows: MAX_ROWS as u64,
            batch_rows: letters.len() as u64,
            rows: letters.len() as u64,
            created_at: timestamp(self.clock.now()),
            not_before: None,
            expires_after_seconds: None,
            in_doubt: of.in_doubt,
            stream: false,
            recipients: of.recipients,
            reading: of.reading,
            rows_fingerprint: None,
            pieces: count,
        };
        announce(self.queue, &[CampaignRecord::Manifest(manifest)]).await?;
        catch_up(self.queue, ledger).await?;
        Ok(key)
    }

    /// Appends the chunks of a replay and seals it. Chunks that an earlier call appended are appended again: the
    /// readers of send skip rows that they have seen.
    async fn finish(
        &self,
        key: RunKey,
        ledger: &mut Ledger,
        report: &mut ReplayReport,
    ) -> Result<(), AccountError> {
        let namings = namings(ledger)?;
        let naming = namings.iter().find(|naming| is_by(naming, key));
        let (Some(naming), Some(run)) = (naming, ledger.run(key)) else {
            return Ok(());
        };
        let mut last: Vec<Option<Offset>> = vec![None; self.queue.partitions() as usize];
        let mut tally = Tally {
            recipients: naming.letters.len() as u64,
            enqueued: naming.letters.len() as u64,
            batches: 1,
            ..Tally::default()
        };
        if !naming.letters.is_empty() {
            let places = self.find(ledger, &namings).await?;
            let parts = naming.letters.chunks(MAX_ROWS);
            for (part, chunk) in parts.zip(0u64..) {
                let at = target(run, chunk, self.queue.partitions());
                let Some(offset) = self.append(run, part, &places, at, &mut tally).await? else {
                    // The letters are gone: somebody else has sealed this.
                    catch_up(self.queue, ledger).await?;
                    return self.is_sealed_by_another(key, ledger);
                };
                if let Some(slot) = last.get_mut(at.partition as usize) {
                    *slot = Some(offset);
                }
            }
        }
        report.runs.push(run.manifest.id.to_string());
        report.replayed += tally.enqueued;
        let seal = Seal {
            key,
            manifest: run.manifest.draw,
            draw: fastrand::u64(..),
            last,
            tally,
            sealed_at: timestamp(self.clock.now()),
            rows_below: None,
        };
        announce(self.queue, &[CampaignRecord::Seal(seal)]).await?;
        catch_up(self.queue, ledger).await
    }

    fn is_sealed_by_another(&self, key: RunKey, ledger: &Ledger) -> Result<(), AccountError> {
        match ledger.run(key) {
            Some(run) if run.seal.is_none() => {
                Err(AccountError::NoLetter(run.manifest.id.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Where the records of letters are, by key.
    async fn find(
        &self,
        ledger: &Ledger,
        namings: &[Naming],
    ) -> Result<HashMap<String, (TopicPartition, Offset)>, AccountError> {
        let letters = kept(self.queue, ledger, namings).await?;
        Ok(letters
            .into_iter()
            .map(|letter| (key(&letter.id, letter.round), (letter.at, letter.offset)))
            .collect())
    }

    /// The offset of the last record of one chunk; `None`: a letter is not there any more.
    async fn append(
        &self,
        run: &RunFacts,
        letters: &[LetterRef],
        places: &HashMap<String, (TopicPartition, Offset)>,
        at: TopicPartition,
        tally: &mut Tally,
    ) -> Result<Option<Offset>, AccountError> {
        let mut messages: Vec<(MessageLine, MessageContent)> = Vec::with_capacity(PIECE);
        for letter in letters {
            let Some((dlq, offset)) = places.get(&key(&letter.id, letter.round)) else {
                return Ok(None);
            };
            let Some(stored) = record_at(self.queue, *dlq, *offset).await? else {
                return Ok(None);
            };
            let (_, chunk) = read(*dlq, &stored)?;
            messages.extend(chunk.messages.into_iter().map(|message| {
                let line = MessageLine {
                    tries: 0,
                    hop: 0,
                    round: letter.round.saturating_add(1),
                    ..message.line
                };
                (line, message.content)
            }));
        }
        let timestamp = timestamp(self.clock.now());
        let origin = Origin {
            timestamp: &timestamp,
            source: self.source,
        };
        let records = pack(&self.head(run), origin, &messages).map_err(|error| {
            let run = run.manifest.id.to_string();
            AccountError::Chunk { run, error }
        })?;
        let size =
            |record: &crate::queue::Record| record.payload.as_ref().map_or(0, Bytes::len) as u64;
        tally.chunks += records.len() as u64;
        tally.bytes_queued += records.iter().map(size).sum::<u64>();
        tally.bytes_rendered += messages
            .iter()
            .map(|(_, body)| body.len() as u64)
            .sum::<u64>();
        Ok(self.queue.append(at, records).await?.last().copied())
    }

    fn head(&self, run: &RunFacts) -> ChunkHead {
        ChunkHead {
            campaign: run.manifest.id.campaign.clone(),
            run: run.manifest.id.run.clone(),
            key: run.manifest.key,
            fingerprint: run.manifest.fingerprint.clone(),
            first_row: 0,
            last_row: 0,
            count: 0,
            moved_from: None,
            trace_id: self.trace_id.to_string(),
        }
    }
}

/// Replays that were begun and can still be sealed, oldest first.
fn unsealed(ledger: &Ledger) -> Result<Vec<RunKey>, AccountError> {
    let namings = namings(ledger)?;
    Ok(namings
        .into_iter()
        .filter_map(|naming| match naming.by {
            By::Replay {
                run,
                is_sealed: false,
            } => Some(run),
            _ => None,
        })
        .collect())
}

fn is_by(naming: &Naming, key: RunKey) -> bool {
    naming.by
        == By::Replay {
            run: key,
            is_sealed: false,
        }
}

/// Chunk c goes to partition (c + h) mod P, h from the run's key: whoever finishes it puts it into the same one.
fn target(run: &RunFacts, chunk: u64, partitions: Partition) -> TopicPartition {
    let place = run.manifest.key.0.wrapping_add(chunk) % u64::from(partitions.max(1));
    send(Partition::try_from(place).unwrap_or(0))
}

fn send(partition: Partition) -> TopicPartition {
    TopicPartition::new(Topic::Send, partition)
}

fn fingerprint(letters: &[LetterRef]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for letter in letters {
        hash.update(key(&letter.id, letter.round).as_bytes());
        hash.update(&[0]);
    }
    hex(hash.finish().as_ref())
}
