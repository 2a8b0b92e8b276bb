//! The journal: one cycle after the other, each with one round of appends and one commit for all partitions.
//! There is no lingering: what came in while a cycle ran goes into the next.

mod collect;
mod commit;
mod gates;
mod rate;
mod tell;

use super::checkpoints::{self, Checkpoints};
use super::goal::{GoalWatch, Look};
use super::lanes::Lanes;
use super::partitions::Inbox;
use super::settings::{LeftWork, Notice, Observer, Setup, Stop, Summary, WorkerError};
use super::shares::Shares;
use super::space::Space;
use super::told::{self, Ends};
use super::views::{self, Suppressions};
use crate::domain::ids::Offset;
use crate::domain::records::{CampaignRecord, RateInForce};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::policy::Schedule;
use crate::protocol::Ledger;
use crate::protocol::invariant::Broken;
use crate::protocol::ledger::Standing;
use crate::protocol::machine::{Machine, Want};
use crate::queue::{Membership, Record, Token};
use gates::Gates;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// What is in flight at a clean stop is finished within this.
pub const STOP_DRAIN: Duration = Duration::from_secs(25);
/// Without anything to do the topics are looked at this often: control takes effect within 2 s.
const TICK: Duration = Duration::from_millis(250);
/// The offset is raised, and what lies below it dropped, this often.
const RAISE_EVERY: Duration = Duration::from_secs(1);
/// A drain with damaged partitions ends when the others have been idle for this long.
const STANDING_STILL_AFTER: Duration = Duration::from_secs(3);
const RETRY_APPEND: Duration = Duration::from_millis(100);

pub struct Journal {
    pub(super) setup: Rc<Setup>,
    pub(super) lanes: Rc<Lanes>,
    pub(super) observer: Rc<dyn Observer>,
    pub(super) membership: Rc<dyn Membership>,
    pub(super) schedule: Schedule,
    pub(super) ledger: Ledger,
    suppressions: Rc<RefCell<Suppressions>>,
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
    /// Partitions that are owned and not worked on.
    pub(super) standing_still: BTreeSet<TopicPartition>,
    rate: RateInForce,
    shares: Option<Shares>,
    raised_at: Duration,
    /// When the last acknowledged commit of each partition was sent.
    renewed: BTreeMap<TopicPartition, Duration>,
    pub(super) space: Space,
    pub(super) checkpoints: Checkpoints,
    /// Why the worker stops.
    refused: Option<WorkerError>,
    stop_by: Option<Duration>,
    /// Of the last cycles, slowly forgotten.
    slowest_cycle: Duration,
    /// Since when cycles have found nothing to do.
    idle_since: Option<Duration>,
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
        let suppressions = lanes.suppressions();
        Suppressions::refresh(&suppressions, queue.as_ref()).await?;
        let schedule = Schedule::from(&setup.retry);
        require_topics(&setup, &schedule).await?;
        checkpoints::require(queue.as_ref(), &ledger).await?;
        let membership = queue.join(&setup.name).await?;
        let inbox = Rc::new(Inbox::default());
        let listener =
            tokio::task::spawn_local(inbox.clone().listen(membership.clone(), lanes.clone()));
        let now = setup.clock.since_boot();
        let mut journal = Journal {
            rate: setup.rate.clone(),
            shares: None,
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
            standing_still: BTreeSet::new(),
            raised_at: Duration::ZERO,
            renewed: BTreeMap::new(),
            space: Space::default(),
            checkpoints: Checkpoints::default(),
            refused: None,
            stop_by: None,
            idle_since: None,
            slowest_cycle: Duration::ZERO,
            started_at: now,
            turn: 0,
            ask_slots_at: None,
            summary: Summary::default(),
            tasks: vec![listener],
        };
        journal.publish_rate().await?;
        journal.take_rate();
        journal.open_shares();
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
                self.append_all(Vec::new()).await?;
                return self.refused.take().map_or(Ok(()), Err);
            }
            self.idle_since = if busy {
                None
            } else {
                self.idle_since.or(Some(self.setup.clock.since_boot()))
            };
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
        self.last_words(&self.checkpointed()).await;
        self.membership.leave().await;
        self.space.give_back_at_the_end(&self.setup.queue).await;
    }

    /// Ends without a word: the queue does not answer, and what it was told last is not known.
    pub fn abandon(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
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

    /// Stops cleanly and then says why.
    pub(super) fn refuse(&mut self, why: WorkerError) {
        self.refused.get_or_insert(why);
        if !self.is_stopping() {
            self.begin_stop(Some(LeftWork::Stopped));
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
        if self.is_stopping() {
            return Ok(());
        }
        let now = self.setup.clock.since_boot();
        if self.goal.gives_up(self.lanes.are_relays_away(), now) {
            self.begin_stop(Some(LeftWork::RelaysAway));
        }
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
            Look::GoOn if self.only_damage_is_left() => {
                self.begin_stop(Some(LeftWork::StandingStill))
            }
            Look::GoOn => {}
            Look::WaitUntil(due) => self.observer.notice(Notice::Waiting { until: due }),
            Look::End(left) => self.begin_stop(left),
        }
        Ok(())
    }

    /// Partitions stand still, and the others have had nothing to do for a while.
    fn only_damage_is_left(&self) -> bool {
        let now = self.setup.clock.since_boot();
        let wall = self.setup.clock.now();
        let idle = self
            .idle_since
            .is_some_and(|since| since + STANDING_STILL_AFTER <= now);
        !self.standing_still.is_empty()
            && idle
            && self
                .machines
                .values()
                .all(|machine| machine.next_due(wall).is_none())
    }

    /// One cycle. `false`: there was nothing to do.
    async fn cycle(&mut self) -> Result<bool, WorkerError> {
        let begun = self.setup.clock.since_boot();
        let end = self.log_ends().await?;
        views::refresh(&mut self.ledger, self.setup.queue.as_ref()).await?;
        self.refresh_suppressions().await?;
        self.follow_rate();
        self.follow_shares();
        self.take_back_held();
        let mut busy = self.tell().await?;
        let room = self.claim_room().await;
        busy |= self.commit(room, &end).await?;
        self.checkpoint_now_and_then().await;
        self.read_on();
        let took = self.setup.clock.since_boot().saturating_sub(begun);
        self.slowest_cycle = took.max(self.slowest_cycle * 63 / 64);
        Ok(busy)
    }

    /// Claims that cannot be used now are taken back: a paused run's within a tick, so that pause and cancel are prompt.
    fn take_back_held(&self) {
        let now = self.setup.clock.now();
        self.lanes.take_back_held(|run| {
            self.ledger.standing(run, now) != Standing::Sending
                || self.ledger.expires_at(run).is_some_and(|at| at <= now)
        });
    }

    async fn refresh_suppressions(&mut self) -> Result<(), WorkerError> {
        let now = self.setup.clock.since_boot();
        if now.saturating_sub(self.suppressions_read_at) >= RAISE_EVERY {
            Suppressions::refresh(&self.suppressions, self.setup.queue.as_ref()).await?;
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
        self.space.give_back(&self.setup.queue);
        let owned: Vec<TopicPartition> = self
            .machines
            .keys()
            .copied()
            .filter(|at| at.topic == Topic::Send)
            .collect();
        let bounds = owned.iter().map(|at| self.setup.queue.bounds(*at));
        let bounds = futures_util::future::join_all(bounds).await;
        for (at, bounds) in owned.into_iter().zip(bounds) {
            ends.extend(bounds.ok().map(|bounds| (at, bounds.end)));
        }
        Ok(ends)
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

    pub(super) async fn wait(&self, stop: &Stop) {
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
        let shares = self.shares.as_ref().and_then(Shares::changes_at);
        let paced = [self.ask_slots_at, shares].into_iter().flatten().min();
        let paced = paced.map_or(TICK, |at| at.saturating_sub(now));
        let longest = TICK
            .min(self.membership.lease() / 6)
            .min(due)
            .min(paced)
            .max(Duration::from_millis(1));
        tokio::select! {
            biased;
            () = self.lanes.answered.notified() => {}
            () = self.inbox.wake.notified() => {}
            () = stop.asked(), if self.stop_by.is_none() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
}

/// A record of the campaign topic. `at`: the partition that it is about, or the topic's own.
pub fn campaign_record(at: TopicPartition, record: &CampaignRecord) -> Result<Record, Broken> {
    let payload = serde_json::to_vec(record).map_err(|error| told::unwritable(at, error))?;
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
