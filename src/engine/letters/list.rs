//! The letters that are in the dlq, by filter.

use crate::domain::event::Event;
use crate::domain::ids::{Offset, Partition, Row, RunKey, serialize_shown_row};
use crate::domain::outcome::{Class, Reason, Scope};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::event::whole_event;
use crate::engine::read_model::fact::Rank;
use crate::engine::read_model::letter::{LetterError, LetterHead, head, read};
use crate::engine::read_model::naming::{Naming, namings};
use crate::engine::read_model::scan::{record_at, scan};
use crate::engine::timestamp::timestamp;
use crate::protocol::Ledger;
use crate::queue::{Queue, Stored};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::SystemTime;

/// What is asked for; `None` and empty: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    pub campaign: Option<String>,
    pub reason: Option<Reason>,
    /// `--reason in_doubt`: only what is in doubt.
    pub in_doubt: bool,
    pub class: Option<Class>,
    pub site: Option<String>,
    /// Ended at this time or later.
    pub since: Option<SystemTime>,
    /// Message ids.
    pub ids: Vec<String>,
}

/// A letter as `dlq list --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedLetter {
    pub id: String,
    pub campaign: String,
    pub run: String,
    #[serde(serialize_with = "serialize_shown_row")]
    pub row: Row,
    pub round: u32,
    pub address: String,
    pub in_doubt: bool,
    pub class: Option<Class>,
    pub reason: Option<Reason>,
    pub scope: Option<Scope>,
    pub attempts: u32,
    pub last_reply: Option<String>,
    /// RFC 3339, UTC.
    pub since: String,
    /// The run that it counts for.
    #[serde(skip)]
    pub origin: RunKey,
    #[serde(skip)]
    pub site: String,
    #[serde(skip)]
    pub at: TopicPartition,
    #[serde(skip)]
    pub offset: Offset,
    #[serde(skip)]
    pub ended_at: SystemTime,
    /// Sent again or purged already: the record is only not removed yet.
    #[serde(skip)]
    pub is_void: bool,
    /// The partition whose worker ended it; its events are in the event partition of this index.
    #[serde(skip)]
    pub from: Partition,
    /// The rank of the event that ended it, once that is known.
    #[serde(skip)]
    event: Option<Rank>,
}

impl LetterFilter {
    /// Nothing was asked for.
    pub fn is_any(&self) -> bool {
        *self == LetterFilter::default()
    }

    pub fn takes(&self, letter: &ListedLetter) -> bool {
        self.campaign
            .as_ref()
            .is_none_or(|name| *name == letter.campaign)
            && self
                .reason
                .is_none_or(|reason| Some(reason) == letter.reason)
            && (!self.in_doubt || letter.in_doubt)
            && self.class.is_none_or(|class| Some(class) == letter.class)
            && self
                .site
                .as_ref()
                .is_none_or(|site| site.eq_ignore_ascii_case(&letter.site))
            && self.since.is_none_or(|since| letter.ended_at >= since)
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
    }
}

/// Letters that pass the filter, by campaign, run and row. The ledger was read with letters.
pub async fn list(
    queue: &dyn Queue,
    ledger: &Ledger,
    filter: &LetterFilter,
) -> Result<Vec<ListedLetter>, AccountError> {
    let mut letters = completed(queue, ledger, &namings(ledger)?).await?;
    letters.retain(|letter| !letter.is_void && filter.takes(letter));
    count_earlier_rounds(queue, &mut letters).await?;
    Ok(letters)
}

/// As [`kept`], with the reasons and replies that letters lack.
pub(super) async fn completed(
    queue: &dyn Queue,
    ledger: &Ledger,
    namings: &[Naming],
) -> Result<Vec<ListedLetter>, AccountError> {
    let mut letters = kept(queue, ledger, namings).await?;
    complete(queue, &mut letters).await?;
    Ok(letters)
}

/// Every letter of which the dlq has a record, void ones too.
pub(super) async fn kept(
    queue: &dyn Queue,
    ledger: &Ledger,
    namings: &[Naming],
) -> Result<Vec<ListedLetter>, AccountError> {
    let mut letters = Vec::new();
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Dlq, partition);
        letters.extend(kept_at(queue, at, ledger).await?);
    }
    let void: HashSet<(&str, u32)> = namings
        .iter()
        .filter(|naming| naming.is_void())
        .flat_map(|naming| &naming.letters)
        .map(|letter| (letter.id.as_str(), letter.round))
        .collect();
    for letter in &mut letters {
        letter.is_void = void.contains(&(letter.id.as_str(), letter.round));
    }
    letters.sort_by(|one, other| {
        let key = |letter: &ListedLetter| (letter.campaign.clone(), letter.run.clone());
        key(one)
            .cmp(&key(other))
            .then((one.row, one.round).cmp(&(other.row, other.round)))
    });
    Ok(letters)
}

/// Of each key the last record counts, and none when that is a tombstone.
async fn kept_at(
    queue: &dyn Queue,
    at: TopicPartition,
    ledger: &Ledger,
) -> Result<Vec<ListedLetter>, AccountError> {
    let bounds = queue.bounds(at).await?;
    let (mut kept, mut wrong) = (HashMap::new(), None);
    scan(queue, at, bounds.low_watermark, bounds.end, &mut |stored| {
        let key = stored.record.key.clone().unwrap_or_default();
        if stored.record.payload.is_none() {
            kept.remove(&key);
            return ControlFlow::Continue(());
        }
        match listed(at, &stored, ledger) {
            Ok(letter) => {
                kept.insert(key, letter);
                ControlFlow::Continue(())
            }
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    })
    .await?;
    match wrong {
        Some(error) => Err(error.into()),
        None => Ok(kept.into_values().collect()),
    }
}

fn listed(
    at: TopicPartition,
    stored: &Stored,
    ledger: &Ledger,
) -> Result<ListedLetter, LetterError> {
    let LetterHead {
        id,
        round,
        row,
        letter,
    } = head(at, stored)?;
    let mut listed = ListedLetter {
        id,
        campaign: letter.campaign,
        run: letter.run,
        row,
        round,
        address: String::new(),
        in_doubt: letter.in_doubt,
        class: None,
        reason: None,
        scope: None,
        attempts: letter.attempts,
        last_reply: None,
        since: timestamp(stored.appended_at),
        origin: ledger.counts_for(letter.key),
        site: String::new(),
        at,
        offset: stored.offset,
        ended_at: stored.appended_at,
        is_void: false,
        from: letter.from.0.partition,
        event: None,
    };
    if let Some(event) = letter.event {
        listed.learn(event);
    }
    Ok(listed)
}

impl ListedLetter {
    fn learn(&mut self, event: Event) {
        self.event = Some(Rank::of(&event));
        self.address = event.payload.address;
        self.site = event.payload.site;
        self.class = event.payload.class;
        self.reason = event.payload.reason;
        self.scope = event.payload.scope;
        self.last_reply = event.payload.reply;
    }
}

/// A move that was repeated by the partition's next owner has no event in its letter: it is in the event topic.
async fn complete(queue: &dyn Queue, letters: &mut [ListedLetter]) -> Result<(), AccountError> {
    let is_lacking = |letter: &ListedLetter| letter.event.is_none() && !letter.is_void;
    let lacking = letters.iter().filter(|letter| is_lacking(letter));
    let partitions: HashSet<Partition> = lacking.map(|letter| letter.from).collect();
    for partition in partitions {
        let mut wanted: HashMap<(String, u32), &mut ListedLetter> = letters
            .iter_mut()
            .filter(|letter| is_lacking(letter) && letter.from == partition)
            .map(|letter| ((letter.id.clone(), letter.round), letter))
            .collect();
        learn_from_events(queue, partition, &mut wanted).await?;
    }
    for letter in letters
        .iter_mut()
        .filter(|letter| letter.address.is_empty() && !letter.is_void)
    {
        if let Some(stored) = record_at(queue, letter.at, letter.offset).await? {
            let (_, chunk) = read(letter.at, &stored)?;
            if let Some(message) = chunk.messages.first() {
                letter.address.clone_from(&message.line.address);
            }
        }
    }
    Ok(())
}

/// A letter knows the attempts of its own round. Those before a replay are in the event topic.
async fn count_earlier_rounds(
    queue: &dyn Queue,
    letters: &mut [ListedLetter],
) -> Result<(), AccountError> {
    let replayed = letters.iter_mut().filter(|letter| letter.round > 0);
    let mut replayed: HashMap<String, &mut ListedLetter> =
        replayed.map(|letter| (letter.id.clone(), letter)).collect();
    if replayed.is_empty() {
        return Ok(());
    }
    let ids: HashSet<String> = replayed.keys().cloned().collect();
    for partition in 0..queue.partitions() {
        each_event(queue, partition, &ids, &mut |event| {
            if let Some(letter) = replayed.get_mut(&event.header.message_id) {
                let is_earlier = event.metadata.round < letter.round;
                letter.attempts += u32::from(is_earlier && event.header.event_type.is_attempt());
            }
        })
        .await?;
    }
    Ok(())
}

/// The final event of the highest rank counts, as it does everywhere.
async fn learn_from_events(
    queue: &dyn Queue,
    partition: Partition,
    wanted: &mut HashMap<(String, u32), &mut ListedLetter>,
) -> Result<(), AccountError> {
    let ids: HashSet<String> = wanted.keys().map(|(id, _)| id.clone()).collect();
    each_event(queue, partition, &ids, &mut |event| {
        let message = (event.header.message_id.clone(), event.metadata.round);
        if let Some(letter) = wanted.get_mut(&message)
            && event.payload.is_final
            && letter.event.is_none_or(|rank| Rank::of(&event) >= rank)
        {
            letter.learn(event);
        }
    })
    .await
}

/// Every event of these messages in one partition.
async fn each_event(
    queue: &dyn Queue,
    partition: Partition,
    ids: &HashSet<String>,
    out: &mut dyn FnMut(Event),
) -> Result<(), AccountError> {
    let at = TopicPartition::new(Topic::Event, partition);
    let bounds = queue.bounds(at).await?;
    let mut failed = None;
    scan(queue, at, bounds.low_watermark, bounds.end, &mut |stored| {
        if !ids.contains(stored.record.key.as_deref().unwrap_or_default()) {
            return ControlFlow::Continue(());
        }
        match whole_event(at, &stored) {
            Ok(event) => {
                out(event);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })
    .await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
