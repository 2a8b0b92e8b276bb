//! What must be true at the end of every run, from the log alone.

use super::campaign::{ROWS, message_id};
use super::world::{K, World};
use mailq::domain::counters::{Counters, Final};
use mailq::domain::event::{Event, EventType};
use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::protocol::{Ledger, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::time::SystemTime;

/// That faults happened at all: over many runs each of these must be large.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub accepted: u64,
    pub extra: u64,
    pub losses: u64,
    pub named: u64,
    pub transactions: u64,
}

impl Totals {
    pub fn shows_faults(&self) -> bool {
        self.losses > 50 && self.named > 50 && self.extra > 5 && self.accepted > 1_000
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.accepted += other.accepted;
        self.extra += other.extra;
        self.losses += other.losses;
        self.named += other.named;
        self.transactions += other.transactions;
    }
}

pub fn ledger(world: &World) -> Ledger {
    let mut ledger = Ledger::with_letters();
    for (_, stored) in world.log.records(Topic::Campaign) {
        let key = stored.record.key.unwrap_or_default();
        ledger
            .apply(stored.offset, &key, stored.record.payload.as_deref())
            .unwrap();
    }
    ledger
}

pub fn strings(world: &World) -> BTreeMap<TopicPartition, Progress> {
    let commits = world.log.commits().into_iter();
    commits
        .map(|(at, commit)| {
            (
                at,
                Progress::parse(&commit.text).expect("a string that can be read"),
            )
        })
        .collect()
}

/// Empty when every run is at its end: by cursors, sets and ends of logs.
pub fn what_is_left(world: &World) -> String {
    let (ledger, strings) = (ledger(world), strings(world));
    let mut left = Vec::new();
    for plan in &world.plans {
        let key = plan.id.key();
        let Some(run) = ledger.run(key) else {
            left.push(format!("{}: no manifest", plan.id));
            continue;
        };
        if run.cancel.is_some() && run.seal.is_none() {
            continue;
        }
        for partition in 0..2 {
            let at = TopicPartition::new(Topic::Send, partition);
            let Some(last) = run.last(partition) else {
                continue;
            };
            let entry = strings.get(&at).and_then(|string| string.runs.get(&key));
            let next = entry
                .map(|entry| entry.next)
                .or(run.left.get(&at).map(|left| left.next));
            let done = next.is_some_and(|next| next > last) || run.cancel.is_some();
            if !done {
                left.push(format!("{} {at}: {next:?} of {last}", plan.id));
            }
        }
    }
    for (at, string) in &strings {
        if !string.open.is_empty() || string.moving.is_some() {
            left.push(format!(
                "{at}: open {:?} moving {:?}",
                string.open.keys(),
                string.moving
            ));
        }
        if matches!(at.topic, Topic::Retry(_)) {
            let records = world.log.all_appended(at.topic);
            let end = records
                .iter()
                .filter(|(p, _)| *p == at.partition)
                .map(|(_, s)| s.offset + 1)
                .max()
                .unwrap_or(0);
            if string.next < end {
                left.push(format!("{at}: next {} of {end}", string.next));
            }
        }
    }
    left.join("; ")
}

fn events(world: &World) -> BTreeMap<String, Vec<Event>> {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (_, stored) in world.log.all_appended(Topic::Event) {
        let event: Event = serde_json::from_slice(&stored.record.payload.unwrap()).unwrap();
        events
            .entry(event.header.message_id.clone())
            .or_default()
            .push(event);
    }
    events
}

/// The end of one message: the final event of the highest rank.
fn end_of(id: &str, events: &[Event]) -> Result<Option<Final>, String> {
    let finals: Vec<&Event> = events
        .iter()
        .filter(|event| event.payload.is_final)
        .collect();
    for event in &finals {
        let twin = finals.iter().find(|other| {
            other.rank() == event.rank() && other.header.event_type != event.header.event_type
        });
        if let Some(twin) = twin {
            return Err(format!(
                "{id}: two finals of one rank, {event:?} and {twin:?}"
            ));
        }
    }
    Ok(finals
        .into_iter()
        .max_by_key(|event| event.rank())
        .and_then(|event| event.header.event_type.end()))
}

pub async fn check(world: &World) -> Result<Totals, String> {
    let (ledger, strings, events) = (ledger(world), strings(world), events(world));
    let mut totals = Totals::default();
    let mut counted: BTreeMap<RunKey, BTreeMap<Final, u64>> = BTreeMap::new();
    for plan in &world.plans {
        let mut ends: BTreeMap<Final, u64> = BTreeMap::new();
        for row in 0..ROWS {
            let id = message_id(&plan.id, row);
            let mine = events.get(&id).map(Vec::as_slice).unwrap_or_default();
            let end = check_message(world, &ledger, &plan.id, &id, mine, &mut totals)?;
            if let Some(end) = end {
                *ends.entry(end).or_default() += 1;
            }
        }
        counted.insert(plan.id.key(), ends);
    }
    check_counters(world, &ledger, &strings, &counted)?;
    check_letters(world, &events)?;
    check_bound(world, &mut totals)?;
    Ok(totals)
}

fn check_message(
    world: &World,
    ledger: &Ledger,
    run: &RunId,
    id: &str,
    events: &[Event],
    totals: &mut Totals,
) -> Result<Option<Final>, String> {
    let accepted = world
        .mailbox
        .accepted
        .borrow()
        .get(id)
        .copied()
        .unwrap_or(0);
    let doubts = events
        .iter()
        .filter(|event| event.header.event_type == EventType::InDoubt);
    let named: BTreeSet<_> = doubts
        .map(|event| {
            (
                event.rank(),
                event.metadata.partition.clone(),
                event.payload.reason,
            )
        })
        .collect();
    let named = named.len() as u32;
    let end = end_of(id, events)?;
    let facts = ledger.run(run.key()).ok_or("no manifest")?;
    let is_cancelled = facts.cancel.is_some();
    let story = || format!("{id}: accepted {accepted}, {end:?}, {}", tell(events));
    totals.accepted += u64::from(accepted);
    totals.extra += u64::from(accepted.saturating_sub(1));
    totals.named += u64::from(named);
    if accepted > 1 && named < accepted - 1 {
        return Err(format!("unnamed duplicate: {}", story()));
    }
    match end {
        None if !is_cancelled => return Err(format!("lost: {}", story())),
        None if accepted > 0 && named == 0 => {
            return Err(format!("cancelled and accepted: {}", story()));
        }
        Some(Final::Delivered) if accepted == 0 => {
            return Err(format!("delivered to nobody: {}", story()));
        }
        Some(Final::Delivered | Final::InDoubt) | None => {}
        Some(_) if accepted > 0 && named == 0 => {
            return Err(format!("accepted and not delivered: {}", story()));
        }
        Some(_) => {}
    }
    if accepted > 0 && facts.seal.is_none() {
        return Err(format!("sent before the seal: {}", story()));
    }
    Ok(end)
}

fn tell(events: &[Event]) -> String {
    let lines = events.iter().map(|event| {
        let kind = event.header.event_type;
        format!(
            "{kind:?}{} {:?} {} {:?}",
            if event.payload.is_final { "!" } else { "" },
            event.rank(),
            event.metadata.partition,
            event.payload.reason
        )
    });
    lines.collect::<Vec<_>>().join(" | ")
}

/// A run's counters over all strings and entries that left.
pub fn counters(
    ledger: &Ledger,
    strings: &BTreeMap<TopicPartition, Progress>,
    key: RunKey,
) -> Counters {
    let mut sum = Counters::default();
    let left = ledger
        .run(key)
        .map(|run| run.left.clone())
        .unwrap_or_default();
    let places: BTreeSet<TopicPartition> = strings.keys().chain(left.keys()).copied().collect();
    for at in places {
        let inside = strings
            .get(&at)
            .and_then(|string| string.runs.get(&key))
            .map(|entry| entry.counters);
        sum += inside
            .or(left.get(&at).map(|left| left.counters))
            .unwrap_or_default();
    }
    sum
}

fn check_counters(
    world: &World,
    ledger: &Ledger,
    strings: &BTreeMap<TopicPartition, Progress>,
    counted: &BTreeMap<RunKey, BTreeMap<Final, u64>>,
) -> Result<(), String> {
    for plan in &world.plans {
        let key = plan.id.key();
        let counters = counters(ledger, strings, key);
        for end in Final::ALL {
            let (own, told) = (
                counters.get(end),
                counted[&key].get(&end).copied().unwrap_or(0),
            );
            if own != told {
                return Err(format!(
                    "{}: counters have {own} {}, events {told}",
                    plan.id,
                    end.name()
                ));
            }
        }
        let is_cancelled = ledger.run(key).is_some_and(|run| run.cancel.is_some());
        if counters.ended() > ROWS || (counters.ended() < ROWS && !is_cancelled) {
            return Err(format!(
                "{}: {} of {ROWS} rows ended",
                plan.id,
                counters.ended()
            ));
        }
        let _ = ledger.standing(key, SystemTime::UNIX_EPOCH);
    }
    Ok(())
}

fn check_letters(world: &World, events: &BTreeMap<String, Vec<Event>>) -> Result<(), String> {
    let letters: BTreeSet<String> = world
        .log
        .records(Topic::Dlq)
        .into_iter()
        .filter_map(|(_, stored)| stored.record.key)
        .collect();
    let mut dead = BTreeSet::new();
    for (id, events) in events {
        if let Some(Final::Dead | Final::InDoubt) = end_of(id, events)? {
            dead.insert(format!("{id}/0"));
        }
    }
    if let Some(extra) = letters.difference(&dead).next() {
        return Err(format!(
            "a letter without a dead row: {extra}: {}",
            tell(&events[extra.trim_end_matches("/0")])
        ));
    }
    if let Some(missing) = dead.difference(&letters).next() {
        return Err(format!("a dead row without a letter: {missing}"));
    }
    Ok(())
}

/// At most K for each loss of a worker or its partitions, and one for each answer that never came.
fn check_bound(world: &World, totals: &mut Totals) -> Result<(), String> {
    totals.losses = u64::from(world.losses.get());
    totals.transactions = world.mailbox.transactions.get();
    let bound = K as u64 * totals.losses + u64::from(world.mailbox.unanswered.get());
    if totals.extra > bound.max(K as u64 * 40) {
        return Err(format!("{} duplicates, at most {bound}", totals.extra));
    }
    Ok(())
}
