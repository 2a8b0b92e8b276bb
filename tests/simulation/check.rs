//! Checks every promise at the end of a run, from the log alone.

use super::campaign::message_id;
use super::totals::Totals;
use super::world::World;
use super::{claims, delays, hours, quotas, rates};
use mailq::clock::Clock;
use mailq::domain::counters::{Counters, Final};
use mailq::domain::event::{Event, EventType};
use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::outcome::Class;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account;
use mailq::engine::letters::{Naming, namings};
use mailq::protocol::ledger::RunState;
use mailq::protocol::{Ledger, Progress};
use std::collections::{BTreeMap, BTreeSet};

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
    let ledger = ledger(world);
    let commits = world.log.commits().into_iter();
    let read = |at, text: &str| {
        Progress::parse(text, &ledger.bases(at)).expect("a commit that can be read")
    };
    commits
        .map(|(at, commit)| (at, read(at, &commit.text)))
        .collect()
}

/// What is left to do, by cursors, sets and log ends; empty when every run is finished.
pub fn remaining_work(world: &World) -> String {
    let (ledger, strings) = (ledger(world), strings(world));
    let mut left = Vec::new();
    let now = world.log.clock().now();
    for run in ledger.runs() {
        let key = run.manifest.key;
        if matches!(
            ledger.run_state(key, now),
            RunState::Cancelled | RunState::Dropped
        ) {
            continue;
        }
        if run.seal.is_none() {
            // A killed client's manifest may land after the last replay.
            let is_replay = run.manifest.replay_of.is_some();
            left.extend((!is_replay).then(|| format!("{} is not sealed", run.manifest.id)));
            continue;
        }
        for partition in 0..world.profile.partitions() {
            let at = TopicPartition::new(Topic::Send, partition);
            let Some(last) = run.last(partition) else {
                continue;
            };
            let entry = strings.get(&at).and_then(|string| string.runs.get(&key));
            let entered = entry.map(|entry| entry.next);
            let next = entered.or(run.left.get(&at).map(|left| left.next));
            if next.is_none_or(|next| next <= last) {
                let state = ledger.run_state(key, now);
                left.push(format!(
                    "{} {at}: {next:?} of {last}, {state:?}",
                    run.manifest.id
                ));
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
            let end = world.log.end(*at);
            if string.next < end {
                left.push(format!("{at}: next {} of {end}", string.next));
            }
        }
    }
    left.join("; ")
}

/// In the order in which they landed.
fn events(world: &World) -> BTreeMap<String, Vec<Event>> {
    let mut landed = world.log.all_appended(Topic::Event);
    landed.sort_by_key(|(_, stored)| stored.appended_at);
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (_, stored) in landed {
        let event: Event = serde_json::from_slice(&stored.record.payload.unwrap()).unwrap();
        events
            .entry(event.header.message_id.clone())
            .or_default()
            .push(event);
    }
    events
}

/// The end of one message and its round: the final event of the highest rank.
fn end_of(id: &str, events: &[Event]) -> Result<Option<(Final, u32)>, String> {
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
    let last = finals.into_iter().max_by_key(|event| event.rank());
    Ok(last.and_then(|event| Some((event.header.event_type.end()?, event.metadata.round))))
}

/// Everything that the checks look at.
struct Books<'a> {
    world: &'a World,
    ledger: Ledger,
    strings: BTreeMap<TopicPartition, Progress>,
    events: BTreeMap<String, Vec<Event>>,
    namings: Vec<Naming>,
    /// Message ids to the number of times that each was accepted.
    accepted: BTreeMap<String, u32>,
}

pub async fn check(world: &World) -> Result<Totals, String> {
    let ledger = ledger(world);
    let mut accepted = BTreeMap::new();
    for transaction in world
        .mailbox
        .transactions
        .borrow()
        .iter()
        .filter(|t| t.accepted)
    {
        *accepted.entry(transaction.id.clone()).or_default() += 1;
    }
    let books = Books {
        world,
        strings: strings(world),
        events: events(world),
        namings: namings(&ledger).map_err(|error| error.to_string())?,
        ledger,
        accepted,
    };
    let mut totals = Totals {
        runs: 1,
        ..Totals::default()
    };
    let ends = books.ends(&mut totals)?;
    books.counters(&ends)?;
    books.letters()?;
    books.tries()?;
    books.account(&ends).await?;
    let claims = claims::check(world, &mut totals)?;
    delays::check(world, &books.ledger, &claims)?;
    rates::check(world)?;
    hours::check(world)?;
    quotas::check(world)?;
    books.bound(&totals)?;
    Ok(totals)
}

type Ends = BTreeMap<RunKey, BTreeMap<Final, u64>>;

impl Books<'_> {
    fn ends(&self, totals: &mut Totals) -> Result<Ends, String> {
        let mut counted = Ends::new();
        for plan in &self.world.plans {
            let ends = counted.entry(plan.id.key()).or_default();
            for row in 0..plan.rows {
                let id = message_id(&plan.id, row);
                if let Some(end) = self.message(&plan.id, &id, totals)? {
                    *ends.entry(end).or_default() += 1;
                }
            }
        }
        Ok(counted)
    }

    /// Whether the message was sent again, so that this round's end no longer counts.
    fn is_replayed(&self, id: &str, round: u32) -> bool {
        let mut named = self.namings.iter().filter(|naming| naming.is_replayed());
        named.any(|naming| {
            naming
                .letters
                .iter()
                .any(|letter| letter.id == id && letter.round == round)
        })
    }

    fn message(&self, run: &RunId, id: &str, totals: &mut Totals) -> Result<Option<Final>, String> {
        let events = self.events.get(id).map(Vec::as_slice).unwrap_or_default();
        let accepted = self.accepted.get(id).copied().unwrap_or(0);
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
        let last = end_of(id, events)?;
        let is_replayed = last.is_some_and(|(_, round)| self.is_replayed(id, round));
        let end = last.map(|(end, _)| end).filter(|_| !is_replayed);
        let facts = self.ledger.run(run.key()).ok_or("no manifest")?;
        let is_cancelled = facts.cancel.is_some();
        let history = || format!("{id}: accepted {accepted}, {end:?}, {}", describe(events));
        totals.accepted += u64::from(accepted);
        totals.extra += u64::from(accepted.saturating_sub(1));
        totals.named += u64::from(named);
        totals.replayed += u64::from(is_replayed || last.is_some_and(|(_, round)| round > 0));
        totals.expired += u64::from(end == Some(Final::Expired));
        totals.suppressed += u64::from(end == Some(Final::Suppressed));
        totals.held +=
            u64::from(events.iter().any(|event| {
                event.payload.is_final && event.header.event_type == EventType::InDoubt
            }));
        if accepted > 1 && named < accepted - 1 {
            return Err(format!("unnamed duplicate: {}", history()));
        }
        let finals = events.iter().filter(|event| event.payload.is_final);
        let delivered: BTreeSet<_> = finals
            .filter(|event| event.header.event_type == EventType::Delivered)
            .map(Event::rank)
            .collect();
        if delivered.len() > 1 + named as usize {
            return Err(format!("delivered twice and not named: {}", history()));
        }
        match end {
            None if !is_cancelled => return Err(format!("lost: {}", history())),
            Some(Final::Delivered) if accepted == 0 => {
                return Err(format!("delivered to nobody: {}", history()));
            }
            Some(Final::Delivered | Final::InDoubt) => {}
            _ if accepted > 0 && named == 0 => {
                return Err(format!("accepted and not delivered: {}", history()));
            }
            _ => {}
        }
        if accepted > 0 && facts.seal.is_none() {
            return Err(format!("sent before the seal: {}", history()));
        }
        if self.world.profile.is_clean() && named > 0 {
            return Err(format!("in doubt though nothing was lost: {}", history()));
        }
        Ok(end)
    }

    /// The workers' counters, less messages that were sent again, agree with the events.
    fn counters(&self, ends: &Ends) -> Result<(), String> {
        for plan in &self.world.plans {
            let key = plan.id.key();
            let replays = self
                .ledger
                .runs()
                .filter(|run| run.manifest.replay_of == Some(key));
            let mut sum = counters(&self.ledger, &self.strings, key);
            for replay in replays {
                sum += counters(&self.ledger, &self.strings, replay.manifest.key);
            }
            let named = self
                .namings
                .iter()
                .filter(|naming| naming.is_replayed() && naming.origin == key);
            let named: Vec<_> = named.flat_map(|naming| &naming.letters).collect();
            let again = |end: Final| match end {
                Final::Dead => named.iter().filter(|letter| !letter.in_doubt).count() as u64,
                Final::InDoubt => named.iter().filter(|letter| letter.in_doubt).count() as u64,
                _ => 0,
            };
            let mut ended = 0;
            for end in Final::ALL {
                let (own, told) = (sum.get(end), ends[&key].get(&end).copied().unwrap_or(0));
                if own != told + again(end) {
                    let again = again(end);
                    let name = end.name();
                    return Err(format!(
                        "{}: counters have {own} {name}, events {told}, sent again {again}",
                        plan.id
                    ));
                }
                ended += told;
            }
            let is_cancelled = self.ledger.run(key).is_some_and(|run| run.cancel.is_some());
            if ended > plan.rows || (ended < plan.rows && !is_cancelled) {
                return Err(format!("{}: {ended} of {} rows ended", plan.id, plan.rows));
            }
        }
        Ok(())
    }

    /// There is a letter for every dead row, and no other valid one.
    fn letters(&self) -> Result<(), String> {
        let void: BTreeSet<String> = self
            .namings
            .iter()
            .filter(|naming| naming.is_void())
            .flat_map(|naming| {
                naming
                    .letters
                    .iter()
                    .map(|letter| format!("{}/{}", letter.id, letter.round))
            })
            .collect();
        let mut letters = BTreeSet::new();
        let mut records = self.world.log.records(Topic::Dlq);
        records.sort_by_key(|(_, stored)| stored.appended_at);
        for (_, stored) in records {
            let key = stored.record.key.clone().unwrap_or_default();
            match stored.record.payload {
                Some(_) if !void.contains(&key) => letters.insert(key),
                _ => letters.remove(&key),
            };
        }
        let mut dead = BTreeSet::new();
        for (id, events) in &self.events {
            if let Some((Final::Dead | Final::InDoubt, round)) = end_of(id, events)?
                && !self.is_replayed(id, round)
            {
                dead.insert(format!("{id}/{round}"));
            }
        }
        if let Some(extra) = letters.difference(&dead).next() {
            let id = extra.rsplit_once('/').unwrap().0;
            return Err(format!(
                "a letter without a dead row: {extra}: {}",
                describe(&self.events[id])
            ));
        }
        if let Some(missing) = dead.difference(&letters).next() {
            return Err(format!("a dead row without a letter: {missing}"));
        }
        Ok(())
    }

    /// Messages that are out of tries have used all of them.
    fn tries(&self) -> Result<(), String> {
        let tries = super::world::schedule().tries;
        for event in self.events.values().flatten() {
            let is_out_of_tries = event.header.event_type == EventType::Dead
                && event.payload.class == Some(Class::Temporary);
            let used = event.metadata.retry_count;
            if used > tries || (is_out_of_tries && used < tries) {
                return Err(format!("{used} of {tries} tries: {event:?}"));
            }
        }
        Ok(())
    }

    /// The product's own `verify` agrees.
    async fn account(&self, ends: &Ends) -> Result<(), String> {
        let queue = self.world.log.start_process();
        let now = self.world.log.clock().now();
        let text = |error: account::AccountError| error.to_string();
        let request = account::VerifyRequest {
            now,
            campaign: None,
            folder: &std::env::temp_dir(),
        };
        let verification = account::verify(&queue, request, &mut |_, _| ())
            .await
            .map_err(text)?;
        if !verification.ok {
            return Err(format!("verify: {:?}", verification.findings));
        }
        let status = account::status(&queue, now, None).await.map_err(text)?;
        for row in &status.campaigns {
            let Some(ends) = ends.get(&row.key) else {
                continue;
            };
            let is_cancelled = row.state == account::State::Cancelled;
            for (end, count) in Final::ALL.into_iter().zip(row.finals()) {
                let own = ends.get(&end).copied().unwrap_or(0);
                // Rows of a cancelled run that were never opened have no event.
                if count != own && !(is_cancelled && end == Final::Cancelled) {
                    return Err(format!(
                        "status has {count} {}, events {own}: {row:?}",
                        end.name()
                    ));
                }
            }
            if row.unfinished() > 0 || row.finals().iter().sum::<u64>() != row.enqueued {
                return Err(format!("status does not add up: {row:?}"));
            }
        }
        let mut ledger = account::read_ledger(&queue, false).await.map_err(text)?;
        let remaining = account::remaining(&queue, &mut ledger, None, now)
            .await
            .map_err(text)?;
        if !remaining.is_drained() {
            return Err(format!("remaining: {remaining:?}"));
        }
        Ok(())
    }

    /// Messages in doubt are at most those that were claimed when an ownership ended, and those without a reply.
    fn bound(&self, totals: &Totals) -> Result<(), String> {
        let transactions = self.world.mailbox.transactions.borrow();
        let unanswered = transactions.iter().filter(|t| t.unanswered).count() as u64;
        let bound = totals.losses + unanswered;
        if totals.extra > bound {
            return Err(format!("{} duplicates, at most {bound}", totals.extra));
        }
        if self.world.profile.is_clean() && totals.extra > 0 {
            return Err(format!(
                "{} duplicates though nothing was lost",
                totals.extra
            ));
        }
        Ok(())
    }
}

fn describe(events: &[Event]) -> String {
    let lines = events.iter().map(|event| {
        let kind = event.header.event_type;
        let mark = if event.payload.is_final { "!" } else { "" };
        let partition = &event.metadata.partition;
        format!(
            "{kind:?}{mark} {:?} {partition} {:?}",
            event.rank(),
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
    let left = ledger
        .run(key)
        .map(|run| run.left.clone())
        .unwrap_or_default();
    let places: BTreeSet<TopicPartition> = strings.keys().chain(left.keys()).copied().collect();
    let mut sum = Counters::default();
    for at in places {
        let inside = strings.get(&at).and_then(|string| string.runs.get(&key));
        let outside = left.get(&at).map(|left| left.counters);
        sum += inside
            .map(|entry| entry.counters)
            .or(outside)
            .unwrap_or_default();
    }
    sum
}
