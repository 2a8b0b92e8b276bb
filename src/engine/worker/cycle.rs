//! The journal: one cycle after the other, each with one round of appends and one commit for all partitions.
//! There is no lingering: what came in while a cycle ran goes into the next.

use super::answers;
use super::goal::{GoalWatch, Look};
use super::lanes::{Handed, Lanes};
use super::partitions::Inbox;
use super::settings::{LeftWork, Notice, Observer, Setup, Stop, Summary, WorkerError};
use super::told::{self, About, Ends, Teller};
use super::views::{self, Suppressions};
use crate::domain::address;
use crate::domain::counters::Final;
use crate::domain::event::EventType;
use crate::domain::ids::Offset;
use crate::domain::records::{CampaignRecord, RateInForce};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::policy::Schedule;
use crate::protocol::machine::{Machine, Moment, Report, Tell, Want};
use crate::protocol::{Fate, Ledger};
use crate::queue::{Commit, CommitOutcome, Membership, QueueError, Record, Token};
use crate::suppression::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What is in flight at a clean stop is finished within this.
const STOP_DRAIN: Duration = Duration::from_secs(25);
/// Without anything to do the topics are looked at this often: control takes effect within 2 s.
const TICK: Duration = Duration::from_millis(250);
/// The offset is raised, and what lies below it dropped, this often.
const RAISE_EVERY: Duration = Duration::from_secs(1);
const RETRY_APPEND: Duration = Duration::from_millis(100);

pub struct Journal {
    pub(super) setup: Rc<Setup>,
    pub(super) lanes: Rc<Lanes>,
    pub(super) observer: Rc<dyn Observer>,
    pub(super) membership: Rc<dyn Membership>,
    pub(super) schedule: Schedule,
    pub(super) ledger: Ledger,
    suppressions: Suppressions,
    suppressions_read_at: Duration,
    pub(super) machines: BTreeMap<TopicPartition, Machine>,
    pub(super) inbox: Rc<Inbox>,
    /// Partitions with a read under way.
    pub(super) reading: BTreeSet<TopicPartition>,
    /// Tiers that were found empty, and when.
    pub(super) empty_at: BTreeMap<TopicPartition, Duration>,
    /// Partitions that are being given up, and until when they may drain.
    pub(super) leaving: BTreeMap<TopicPartition, Duration>,
    pub(super) ends: Ends,
    pub(super) late_events: Vec<(TopicPartition, Record)>,
    new_suppressions: Vec<Record>,
    pub(super) standing_still: usize,
    rate: RateInForce,
    raised_at: Duration,
    dropped: BTreeMap<TopicPartition, Offset>,
    stop_by: Option<Duration>,
    started_at: Duration,
    turn: usize,
    ask_slots_at: Option<Duration>,
    summary: Summary,
    goal: GoalWatch,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Journal {
    /// Reads the topics that are followed, publishes the rate, and joins. Errors: a topic that is missing.
    pub async fn open(
        setup: Rc<Setup>,
        lanes: Rc<Lanes>,
        observer: Rc<dyn Observer>,
    ) -> Result<Journal, WorkerError> {
        let queue = setup.queue.clone();
        let mut ledger = Ledger::default();
        views::refresh(&mut ledger, queue.as_ref()).await?;
        let mut suppressions = Suppressions::default();
        suppressions.refresh(queue.as_ref()).await?;
        let schedule = Schedule::from(&setup.retry);
        require_topics(&setup, &schedule).await?;
        let membership = queue.join(&setup.name).await?;
        let inbox = Rc::new(Inbox::default());
        let listener = tokio::task::spawn_local(inbox.clone().listen(membership.clone()));
        let now = setup.clock.since_boot();
        let mut journal = Journal {
            rate: setup.rate.clone(),
            goal: GoalWatch::new(setup.goal),
            setup,
            lanes,
            observer,
            membership,
            schedule,
            ledger,
            suppressions,
            suppressions_read_at: now,
            machines: BTreeMap::new(),
            inbox,
            reading: BTreeSet::new(),
            empty_at: BTreeMap::new(),
            leaving: BTreeMap::new(),
            ends: Ends::new(),
            late_events: Vec::new(),
            new_suppressions: Vec::new(),
            standing_still: 0,
            raised_at: Duration::ZERO,
            dropped: BTreeMap::new(),
            stop_by: None,
            started_at: now,
            turn: 0,
            ask_slots_at: None,
            summary: Summary::default(),
            tasks: vec![listener],
        };
        journal.publish_rate().await?;
        journal.follow_rate();
        Ok(journal)
    }

    /// Cycle after cycle, until stopped and drained.
    pub async fn work(&mut self, stop: &Stop) -> Result<(), WorkerError> {
        loop {
            if stop.is_asked() && self.stop_by.is_none() {
                self.begin_stop(Some(LeftWork::Stopped));
            }
            self.take_changes().await;
            self.take_answers();
            self.take_reads();
            let busy = self.cycle().await?;
            self.release_drained().await;
            self.watch_goal().await?;
            self.observer.progress(&self.summary());
            if let Some(by) = self.stop_by
                && (self.machines.is_empty() || by <= self.setup.clock.since_boot())
            {
                return self.append_all(Vec::new()).await;
            }
            if busy {
                tokio::task::yield_now().await;
            } else {
                self.wait(stop).await;
            }
        }
    }

    pub async fn leave(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        self.membership.leave().await;
    }

    pub fn summary(&self) -> Summary {
        let elapsed = self
            .setup
            .clock
            .since_boot()
            .saturating_sub(self.started_at);
        Summary {
            attempts: self.lanes.attempts(),
            elapsed,
            ..self.summary.clone()
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    pub(super) fn env(&self) -> String {
        self.setup.env.clone()
    }

    pub(super) fn timestamp(&self) -> String {
        told::timestamp(self.setup.clock.now())
    }

    fn begin_stop(&mut self, left: Option<LeftWork>) {
        let by = self.setup.clock.since_boot() + STOP_DRAIN;
        self.stop_by = Some(by);
        self.summary.left_work = left;
        self.lanes.close();
        let taking_over: Vec<TopicPartition> = self
            .machines
            .values()
            .filter(|m| m.is_taking_over())
            .map(Machine::at)
            .collect();
        for at in taking_over {
            self.forget(at);
        }
        for machine in self.machines.values_mut() {
            machine.drain();
            self.leaving.insert(machine.at(), by);
        }
    }

    /// Ends by itself when the goal of the setup is reached.
    async fn watch_goal(&mut self) -> Result<(), WorkerError> {
        if self.is_stopping() || self.lanes.outstanding() > 0 {
            return Ok(());
        }
        let queue = self.setup.queue.clone();
        let clock = self.setup.clock.clone();
        match self
            .goal
            .look(queue.as_ref(), &mut self.ledger, clock.as_ref())
            .await?
        {
            Look::GoOn => {}
            Look::WaitUntil(due) => self.observer.notice(Notice::Waiting { until: due }),
            Look::End(left) => self.begin_stop(left),
        }
        Ok(())
    }

    /// What the lanes have brought back: judged, counted by the breakers, reported to the machines.
    fn take_answers(&mut self) {
        for answer in self.lanes.answers() {
            let handed = &answer.handed;
            let policy = self
                .ledger
                .run(handed.run)
                .map(|run| run.manifest.in_doubt)
                .unwrap_or_default();
            let judgement = answers::judge(&answer, &self.schedule, policy);
            self.lanes.judge(&answer, judgement.relay, judgement.site);
            if judgement.suppress {
                self.suppress(handed, &judgement.note);
            }
            let report = Report {
                slot: handed.slot,
                fate: judgement.fate,
                note: judgement.note,
            };
            if !self.report(handed.at, handed.token, handed.slot, report.clone()) {
                let about = About {
                    at: handed.at,
                    number: handed.number,
                    run: handed.run,
                };
                self.late(&about, &handed.message, &report);
            }
        }
    }

    fn suppress(&mut self, handed: &Handed, note: &crate::domain::event::Note) {
        let campaign = self
            .ledger
            .run(handed.run)
            .map(|run| run.manifest.id.campaign.clone());
        let reply = note.reply.as_deref().unwrap_or_default();
        let reason = note
            .reason
            .unwrap_or(crate::domain::outcome::Reason::Unknown);
        let address = &handed.message.line.address;
        let entry = Entry::hard_bounce(
            address,
            reason,
            reply,
            &campaign.unwrap_or_default(),
            &self.timestamp(),
        );
        if let Ok(payload) = entry.to_bytes() {
            let key = Some(entry.token(&self.setup.key).to_string());
            self.new_suppressions.push(Record {
                key,
                headers: Vec::new(),
                payload: Some(payload.into()),
            });
        }
    }

    /// One cycle. `false`: there was nothing to do.
    async fn cycle(&mut self) -> Result<bool, WorkerError> {
        self.lanes.take_back_old();
        let end = self.log_ends().await?;
        views::refresh(&mut self.ledger, self.setup.queue.as_ref()).await?;
        self.refresh_suppressions().await?;
        self.follow_rate();
        let mut busy = self.tell().await?;
        let room = self.claim_room().await;
        busy |= self.commit(room, &end).await;
        self.read_on();
        Ok(busy)
    }

    async fn refresh_suppressions(&mut self) -> Result<(), WorkerError> {
        let now = self.setup.clock.since_boot();
        if now.saturating_sub(self.suppressions_read_at) >= RAISE_EVERY {
            self.suppressions.refresh(self.setup.queue.as_ref()).await?;
            self.suppressions_read_at = now;
        }
        Ok(())
    }

    /// Ends of the owned logs, now and then: before the ledger is read, so that no manifest is missed.
    async fn log_ends(&mut self) -> Result<BTreeMap<TopicPartition, Offset>, WorkerError> {
        let mut ends = BTreeMap::new();
        let now = self.setup.clock.since_boot();
        if now.saturating_sub(self.raised_at) < RAISE_EVERY && !self.is_stopping() {
            return Ok(ends);
        }
        self.raised_at = now;
        for at in self.machines.keys().filter(|at| at.topic == Topic::Send) {
            if let Ok(bounds) = self.setup.queue.bounds(*at).await {
                ends.insert(*at, bounds.end);
            }
        }
        Ok(ends)
    }

    /// First half of a cycle: everything that the next commit builds on becomes durable.
    async fn tell(&mut self) -> Result<bool, WorkerError> {
        let mut appends: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
        for (at, record) in self.late_events.drain(..) {
            appends.entry(at).or_default().push(record);
        }
        let mut told = Vec::new();
        let tells = self.tells();
        for (at, tell) in tells {
            match self.records_of(at, &tell) {
                Ok(records) => {
                    for (to, record) in records {
                        appends.entry(to).or_default().push(record);
                    }
                    told.push((at, tell));
                }
                Err(why) => self.stand_still(at, why),
            }
        }
        let suppressions = std::mem::take(&mut self.new_suppressions);
        if !suppressions.is_empty() {
            appends
                .entry(TopicPartition::new(Topic::Suppression, 0))
                .or_default()
                .extend(suppressions);
        }
        let busy = !appends.is_empty();
        self.append_all(appends.into_iter().collect()).await?;
        for (at, tell) in told {
            self.count(&tell);
            if let Some(copy) = &tell.copy {
                self.ends
                    .retain(|(partition, slot), _| *partition != at || !copy.slots.contains(slot));
                self.empty_at
                    .remove(&TopicPartition::new(copy_topic(copy), at.partition));
            }
            if let Some(machine) = self.machines.get_mut(&at) {
                machine.told();
            }
        }
        Ok(busy)
    }

    fn tells(&mut self) -> Vec<(TopicPartition, Tell)> {
        let gates = Gates::new(&self.lanes);
        let now = self.setup.clock.now();
        let moment = gates.moment(&self.ledger, now);
        let ready = self
            .machines
            .values_mut()
            .filter(|machine| machine.missing().is_none());
        ready
            .map(|machine| (machine.at(), machine.tell(&moment)))
            .collect()
    }

    fn records_of(
        &mut self,
        at: TopicPartition,
        tell: &Tell,
    ) -> Result<Vec<(TopicPartition, Record)>, String> {
        let Some(machine) = self.machines.get(&at) else {
            return Ok(Vec::new());
        };
        let teller = Teller {
            setup: &self.setup,
            ledger: &self.ledger,
            timestamp: self.timestamp(),
        };
        let events_to = TopicPartition::new(Topic::Event, at.partition);
        let mut records = Vec::with_capacity(tell.events.len());
        for telling in &tell.events {
            let Some(event) = teller.event(machine, telling) else {
                continue;
            };
            let record = told::record(&event).ok_or("an event cannot be written as JSON")?;
            records.push((events_to, record));
            if telling.is_final && matches!(telling.kind, EventType::Dead | EventType::InDoubt) {
                self.ends.insert((at, telling.slot), event);
            }
        }
        if let Some(copy) = &tell.copy {
            let (to, copies) = teller
                .copies(machine, copy, &self.ends)
                .map_err(|error| error.to_string())?;
            records.extend(copies.into_iter().map(|record| (to, record)));
        }
        for left in &tell.left {
            let record = campaign_record(&CampaignRecord::Left(left.clone()))?;
            records.push((TopicPartition::new(Topic::Campaign, 0), record));
        }
        Ok(records)
    }

    /// Appends until all is durable. What is repeated is harmless: events of one rank and outcome are one event,
    /// copies carry their move's number.
    pub(super) async fn append_all(
        &mut self,
        appends: Vec<(TopicPartition, Vec<Record>)>,
    ) -> Result<(), WorkerError> {
        let late = std::mem::take(&mut self.late_events)
            .into_iter()
            .map(|(at, record)| (at, vec![record]));
        let mut left: Vec<(TopicPartition, Vec<Record>)> =
            appends.into_iter().chain(late).collect();
        let mut wait = RETRY_APPEND;
        while !left.is_empty() {
            let queue = self.setup.queue.clone();
            let tries = left
                .iter()
                .map(|(at, records)| queue.append(*at, records.clone()));
            let results = futures_util::future::join_all(tries).await;
            let mut again = Vec::new();
            for ((at, records), result) in left.into_iter().zip(results) {
                match result {
                    Ok(_) => {}
                    Err(error @ (QueueError::Unknown(_) | QueueError::Away { .. })) => {
                        self.observer
                            .notice(Notice::QueueTrouble(error.to_string()));
                        again.push((at, records));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            left = again;
            if !left.is_empty() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
        Ok(())
    }

    fn count(&mut self, tell: &Tell) {
        for telling in &tell.events {
            let counter = match telling.kind {
                EventType::Delivered => &mut self.summary.delivered,
                EventType::Deferred => &mut self.summary.deferred,
                EventType::Bounced => &mut self.summary.bounced,
                EventType::Dead => &mut self.summary.dead,
                EventType::Suppressed => &mut self.summary.suppressed,
                EventType::Expired => &mut self.summary.expired,
                EventType::Cancelled => &mut self.summary.cancelled,
                EventType::InDoubt if telling.is_final => &mut self.summary.in_doubt,
                EventType::InDoubt => &mut self.summary.deferred,
            };
            *counter += 1;
        }
    }

    /// How many messages may be claimed in this cycle, after the stock of slots was filled for what is there.
    async fn claim_room(&mut self) -> usize {
        if self.is_stopping() {
            return 0;
        }
        let uncommitted: usize = self.machines.values().map(Machine::uncommitted).sum();
        let free = self.setup.max_uncommitted.saturating_sub(uncommitted);
        let claimable = self.claimable(free);
        self.ask_slots_at = self.lanes.fill_paces(claimable).await;
        self.lanes.room(free)
    }

    fn claimable(&self, limit: usize) -> usize {
        let gates = Gates::new(&self.lanes);
        let now = self.setup.clock.now();
        let moment = gates.moment(&self.ledger, now);
        let mut count = 0;
        for machine in self.machines.values() {
            if count >= limit {
                break;
            }
            count += machine.claimable(&moment, limit - count);
        }
        count
    }

    /// Second half of a cycle: one commit for all partitions, and what it claimed goes to the lanes.
    async fn commit(&mut self, room: usize, ends: &BTreeMap<TopicPartition, Offset>) -> bool {
        let commits = self.compose(room, ends);
        if commits.is_empty() {
            return false;
        }
        let sent_at = self.setup.clock.since_boot();
        let outcomes = self.membership.commit(commits.clone()).await;
        let valid_until = sent_at + self.membership.lease() * 2 / 3;
        for (commit, outcome) in commits.into_iter().zip(outcomes) {
            match outcome {
                CommitOutcome::Done => self.committed(&commit, valid_until),
                CommitOutcome::Refused => self.lose(commit.at, commit.token),
                CommitOutcome::Unknown(why) => {
                    self.observer.notice(Notice::QueueTrouble(why));
                    self.lose(commit.at, commit.token);
                    self.membership.release(commit.at, commit.token).await;
                }
            }
        }
        true
    }

    fn compose(&mut self, room: usize, ends: &BTreeMap<TopicPartition, Offset>) -> Vec<Commit> {
        let gates = Gates::new(&self.lanes);
        let now = self.setup.clock.now();
        let moment = gates.moment(&self.ledger, now);
        let mut order: Vec<TopicPartition> = self.machines.keys().copied().collect();
        let count = order.len().max(1);
        order.rotate_left(self.turn % count);
        self.turn = self.turn.wrapping_add(1);
        let with_work = order.iter().filter(|at| {
            self.machines
                .get(at)
                .is_some_and(|m| m.claimable(&moment, 1) > 0)
        });
        let mut sharers = with_work.count().max(1);
        let mut left = room;
        let mut commits = Vec::new();
        for at in order {
            let Some(machine) = self
                .machines
                .get_mut(&at)
                .filter(|machine| machine.missing().is_none() || machine.is_numbering())
            else {
                continue;
            };
            let has_work = machine.claimable(&moment, 1) > 0;
            let share = left.div_ceil(sharers);
            let before = machine.uncommitted();
            if let Some(draft) = machine.compose(&moment, share, ends.get(&at).copied()) {
                commits.push(Commit {
                    at,
                    token: machine.token(),
                    offset: draft.offset,
                    text: draft.text,
                });
            }
            left = left.saturating_sub(machine.uncommitted().saturating_sub(before));
            sharers = sharers.saturating_sub(usize::from(has_work)).max(1);
        }
        commits
    }

    fn committed(&mut self, commit: &Commit, valid_until: Duration) {
        let Some(machine) = self
            .machines
            .get_mut(&commit.at)
            .filter(|m| m.token() == commit.token)
        else {
            return;
        };
        let claimed = machine.committed();
        let mut handed = Vec::with_capacity(claimed.len());
        let mut suppressed = Vec::new();
        for slot in claimed {
            let Some(message) = machine.message(slot).cloned() else {
                continue;
            };
            let Some(run) = machine
                .progress()
                .open
                .get(&slot.offset)
                .map(|chunk| chunk.run)
            else {
                continue;
            };
            if self
                .suppressions
                .has(&self.setup.key, &message.line.address)
            {
                suppressed.push(slot);
                continue;
            }
            let site = address::site_of(&message.line.address).to_string();
            let (at, token, number) = (commit.at, commit.token, machine.number());
            handed.push(Handed {
                at,
                token,
                number,
                slot,
                run,
                message,
                site,
                valid_until,
            });
        }
        for slot in suppressed {
            machine.report(Report {
                slot,
                fate: Fate::Ended(Final::Suppressed),
                note: Rc::default(),
            });
        }
        self.lanes.hand_over(handed);
        self.drop_below(commit.at, commit.offset);
    }

    /// Space is given back in the background, once a second for each partition at the most.
    fn drop_below(&mut self, at: TopicPartition, offset: Offset) {
        let dropped = self.dropped.entry(at).or_default();
        if offset <= *dropped
            || self.raised_at != self.setup.clock.since_boot() && offset < *dropped + 16
        {
            return;
        }
        *dropped = offset;
        let queue = self.setup.queue.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = queue.drop_below(at, offset).await {
                tracing::warn!(%at, offset, %error, "space could not be given back");
            }
        });
    }

    /// Asks the machines what should be read next. An empty tier is looked at again at each tick.
    fn read_on(&mut self) {
        let now = self.setup.clock.since_boot();
        let gates = Gates::new(&self.lanes);
        let moment = gates.moment(&self.ledger, self.setup.clock.now());
        let mut wants: Vec<(TopicPartition, Token, Want)> = Vec::new();
        for (at, machine) in &self.machines {
            let looked = self
                .empty_at
                .get(at)
                .is_some_and(|empty| now < *empty + TICK);
            if self.reading.contains(at) || looked {
                continue;
            }
            wants.extend(
                machine
                    .want(&moment)
                    .map(|want| (*at, machine.token(), want)),
            );
        }
        self.start_reads(wants);
    }

    async fn wait(&self, stop: &Stop) {
        let now = self.setup.clock.since_boot();
        let wall = self.setup.clock.now();
        let due = self
            .machines
            .values()
            .filter_map(|machine| machine.next_due(wall))
            .min();
        let due = due
            .and_then(|at| at.duration_since(wall).ok())
            .unwrap_or(TICK);
        let slots = self.ask_slots_at.map_or(TICK, |at| at.saturating_sub(now));
        let longest = TICK.min(due).min(slots).max(Duration::from_millis(1));
        tokio::select! {
            biased;
            () = self.lanes.answered.notified() => {}
            () = self.inbox.wake.notified() => {}
            () = stop.asked(), if self.stop_by.is_none() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    /// A given rate is published where it differs from that in force; the default only where there is none.
    async fn publish_rate(&mut self) -> Result<(), WorkerError> {
        let mine = self.setup.rate.clone();
        let publish = match self.ledger.rate() {
            None => true,
            Some(in_force) => {
                self.setup.publish_rate
                    && (in_force.rate, in_force.burst) != (mine.rate, mine.burst)
            }
        };
        if publish {
            let record =
                campaign_record(&CampaignRecord::Rate(mine)).map_err(QueueError::Unknown)?;
            self.append_all(vec![(
                TopicPartition::new(Topic::Campaign, 0),
                vec![record],
            )])
            .await?;
            views::refresh(&mut self.ledger, self.setup.queue.as_ref()).await?;
        }
        Ok(())
    }

    fn follow_rate(&mut self) {
        let Some(new) = self.ledger.rate().filter(|new| **new != self.rate).cloned() else {
            return;
        };
        self.lanes.set_rate(new.rate, new.burst);
        let old = std::mem::replace(&mut self.rate, new.clone());
        if (old.rate, old.burst) != (new.rate, new.burst) {
            self.observer.notice(Notice::RateChanged { old, new });
        }
    }
}

/// What the lanes say of sites, as the machines ask it.
struct Gates<'a> {
    is_closed: Box<dyn Fn(&str) -> bool + 'a>,
    is_full: Box<dyn Fn(&str) -> bool + 'a>,
    reserve: Box<dyn Fn(&str) -> bool + 'a>,
}

impl<'a> Gates<'a> {
    fn new(lanes: &Rc<Lanes>) -> Gates<'a> {
        lanes.begin_reserving();
        let (closed, full, reserve) = (lanes.clone(), lanes.clone(), lanes.clone());
        Gates {
            is_closed: Box::new(move |address| closed.is_closed(address)),
            is_full: Box::new(move |address| full.is_full(address)),
            reserve: Box::new(move |address| reserve.reserve(address)),
        }
    }

    fn moment<'b>(&'b self, ledger: &'b Ledger, now: SystemTime) -> Moment<'b> {
        Moment {
            ledger,
            now,
            is_closed: self.is_closed.as_ref(),
            is_full: self.is_full.as_ref(),
            reserve: self.reserve.as_ref(),
        }
    }
}

fn copy_topic(copy: &crate::protocol::machine::Copy) -> Topic {
    match copy.decided.target {
        crate::protocol::Target::Retry(delay) => Topic::Retry(delay),
        crate::protocol::Target::Letter(_) => Topic::Dlq,
    }
}

pub fn campaign_record(record: &CampaignRecord) -> Result<Record, String> {
    let payload = serde_json::to_vec(record).map_err(|error| error.to_string())?;
    Ok(Record {
        key: Some(record.key()),
        headers: Vec::new(),
        payload: Some(payload.into()),
    })
}

async fn require_topics(setup: &Setup, schedule: &Schedule) -> Result<(), WorkerError> {
    let there = setup.queue.topics().await?;
    let fixed = [
        Topic::Send,
        Topic::Dlq,
        Topic::Event,
        Topic::Campaign,
        Topic::Suppression,
    ];
    let tiers = schedule.tiers().into_iter().map(Topic::Retry);
    match fixed
        .into_iter()
        .chain(tiers)
        .find(|topic| !there.contains(topic))
    {
        Some(missing) => Err(WorkerError::MissingTopic(missing.name(&setup.env))),
        None => Ok(()),
    }
}
