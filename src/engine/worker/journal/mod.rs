//! The journal runs cycle after cycle, each with one round of appends and one commit for all partitions. It does not
//! wait to fill a batch: what comes in while a cycle runs goes into the next.
//!
//! Each part owns its data: `partitions` what is known of owned partitions, `outbox` records to append, `rate`,
//! `stopping`, `totals`; the worker's checkpoints, truncation and followed topics beside them. The other files here are
//! steps of the cycle.
//!
//! `within` may drop the journal's future at any await, when a stop takes too long. Nothing is used after that but
//! `abandon`, so it is enough that each await is as safe as a kill there: effects before the commit that builds on
//! them, the commit before its claims are handed over.

mod answers;
mod broken_sessions;
mod commit;
mod effects;
mod gates;
mod outbox;
mod ownership;
mod partitions;
mod quotas;
mod rate;
mod reads;
mod stopping;
mod totals;

use super::checkpoints::{self, Checkpoints};
use super::figures::Vitals;
use super::followed::Followed;
use super::goal::{GoalStatus, GoalWatch, SendGates};
use super::inbox::Inbox;
use super::lanes::Lanes;
use super::records::{self, CAMPAIGN, LetterEvents};
use super::settings::{LeftWork, Notice, Observer, Setup, Stop, Summary, WorkerError};
use super::truncation::Truncation;
use super::watch::Watch;
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::policy::Schedule;
use crate::protocol::machine::Machine;
use crate::queue::Membership;
use broken_sessions::BrokenSessions;
use outbox::Outbox;
use partitions::Partitions;
use rate::RateControl;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use stopping::Stopping;
use totals::Totals;

/// Messages in flight at a clean stop are finished within this.
pub const STOP_DRAIN: Duration = Duration::from_secs(25);
/// An idle worker reads the topics this often, so that control takes effect within 2 s.
const TICK: Duration = Duration::from_millis(250);
/// After so many refused logins in a row a worker that is to end by itself gives up.
const LOGIN_REFUSALS: usize = 3;
/// A drain with stopped partitions ends when the others have been idle for this long.
const STOPPED_ONLY_AFTER: Duration = Duration::from_secs(3);

pub struct Journal {
    setup: Rc<Setup>,
    lanes: Rc<Lanes>,
    observer: Rc<dyn Observer>,
    membership: Rc<dyn Membership>,
    schedule: Schedule,
    inbox: Rc<Inbox>,
    followed: Followed,
    partitions: Partitions,
    outbox: Outbox,
    letter_events: LetterEvents,
    broken_sessions: BrokenSessions,
    checkpoints: Checkpoints,
    truncation: Truncation,
    rate: RateControl,
    goal: GoalWatch,
    /// The operator knows that it is outside the send windows.
    is_outside: bool,
    stopping: Stopping,
    timing: Timing,
    totals: Totals,
    watch: Rc<Watch>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// How long cycles take, and when the next one may find something to do.
#[derive(Default)]
struct Timing {
    /// The longest of the last cycles; decays slowly.
    slowest_cycle: Duration,
    /// Since when cycles have found nothing to do.
    idle_since: Option<Duration>,
    /// When asking for slots of a limit makes sense again.
    ask_slots_at: Option<Duration>,
}

impl Journal {
    /// Reads the followed topics, joins, and publishes the rate. Errors: a topic that is missing.
    pub async fn open(
        setup: Rc<Setup>,
        lanes: Rc<Lanes>,
        observer: Rc<dyn Observer>,
    ) -> Result<Journal, WorkerError> {
        let queue = setup.queue.clone();
        let now = setup.clock.since_boot();
        let followed = Followed::open(queue.as_ref(), lanes.suppressions(), now).await?;
        let schedule = Schedule::from(&setup.retry);
        require_topics(&setup, &schedule).await?;
        checkpoints::require(queue.as_ref(), &followed.ledger).await?;
        let membership = queue.join(&setup.name).await?;
        let inbox = Rc::new(Inbox::default());
        let listener =
            tokio::task::spawn_local(inbox.clone().listen(membership.clone(), lanes.clone()));
        let mut journal = Journal {
            outbox: Outbox::new(queue, observer.clone()),
            checkpoints: Checkpoints::new(setup.clone()),
            rate: RateControl::new(&setup),
            goal: GoalWatch::new(setup.goal),
            is_outside: false,
            totals: Totals::new(now, setup.goal),
            watch: Rc::new(Watch::new(&setup, lanes.clone())),
            setup,
            lanes,
            observer,
            membership,
            schedule,
            inbox,
            followed,
            partitions: Partitions::default(),
            letter_events: LetterEvents::default(),
            broken_sessions: BrokenSessions::default(),
            truncation: Truncation::default(),
            stopping: Stopping::default(),
            timing: Timing::default(),
            tasks: vec![listener],
        };
        journal.open_rate().await?;
        journal.observer.begun(journal.watch.clone());
        Ok(journal)
    }

    async fn open_rate(&mut self) -> Result<(), WorkerError> {
        if let Some(record) = RateControl::to_publish(&self.setup, &self.followed.ledger)? {
            self.outbox.add(CAMPAIGN, record);
            self.outbox.flush().await?;
            let queue = self.setup.queue.clone();
            self.followed.refresh_ledger(queue.as_ref()).await?;
        }
        self.rate.take(&self.followed.ledger, &self.lanes);
        let reading = self
            .rate
            .open_shares(&self.setup, self.inbox.wake.clone(), &self.lanes);
        self.tasks.extend(reading);
        Ok(())
    }

    /// Runs cycles until stopped and drained.
    pub async fn work(&mut self, stop: &Stop) -> Result<(), WorkerError> {
        loop {
            if stop.is_asked() && !self.stopping.is_begun() {
                self.begin_stop(Some(LeftWork::Stopped));
            }
            self.setup.queue.check()?;
            self.take_changes().await;
            self.take_answers();
            self.take_reads();
            let busy = self.cycle().await?;
            self.release_drained().await;
            self.watch_goal().await?;
            self.observer.progress(&self.summary());
            let now = self.setup.clock.since_boot();
            self.watch.cycle_ended(self.vitals(), now);
            if self.watch.is_count_due(now) {
                self.watch.counted(self.partitions.unclaimed(), now);
            }
            let is_drained = self.stopping.is_begun() && self.partitions.is_empty();
            if is_drained || self.stopping.is_over(now) {
                // What came during this cycle is about partitions that were given up: it becomes events, so that a known
                // result is not reported as in doubt.
                self.take_answers();
                self.outbox.flush().await?;
                return self.stopping.take_result();
            }
            let idle_since = self.timing.idle_since.or(Some(now));
            self.timing.idle_since = idle_since.filter(|_| !busy);
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
        let durable = self.checkpoints.close_all().await;
        self.take_checkpointed(durable);
        self.membership.leave().await;
        self.truncation.finish(&self.setup.queue).await;
    }

    /// Ends without a checkpoint: the queue does not answer, and it is not known what was committed last.
    pub fn abandon(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    pub fn summary(&self) -> Summary {
        let now = self.setup.clock.since_boot();
        self.totals
            .summary(self.lanes.attempts(), now, self.stopping.left_work())
    }

    /// For monitoring.
    fn vitals(&self) -> Vitals {
        Vitals {
            claimed: self.partitions.uncommitted(),
            max_claimed: self.setup.max_uncommitted,
            owned_partitions: self.partitions.count(),
            stopped_partitions: self.partitions.stopped(),
            idle_for: Duration::ZERO,
            is_stopping: self.stopping.is_begun(),
        }
    }

    fn timestamp(&self) -> String {
        records::timestamp(self.setup.clock.now())
    }

    /// Stops cleanly and then ends with this error.
    fn fail_with(&mut self, error: WorkerError) {
        self.stopping.fail_with(error);
        if !self.stopping.is_begun() {
            self.begin_stop(Some(LeftWork::Stopped));
        }
    }

    fn begin_stop(&mut self, left: Option<LeftWork>) {
        let by = self.setup.clock.since_boot() + STOP_DRAIN;
        self.stopping.begin(by, left);
        self.lanes.close();
        let taking_over = self.partitions.machines().filter(|m| m.is_taking_over());
        for at in taking_over.map(Machine::at).collect::<Vec<_>>() {
            self.forget(at);
        }
        self.partitions.drain_all(by);
    }

    /// Stops when the goal of the setup is reached.
    async fn watch_goal(&mut self) -> Result<(), WorkerError> {
        if self.stopping.is_begun() {
            return Ok(());
        }
        let now = self.setup.clock.since_boot();
        // Nobody knows whether a relay is away while nothing may be sent.
        let are_relays_away = self.lanes.may_send() && self.lanes.are_relays_away();
        if self.goal.gives_up(are_relays_away, now) {
            self.begin_stop(Some(LeftWork::RelaysAway));
        }
        if !self.stopping.is_begun()
            && self.goal.ends_by_itself()
            && self.lanes.refuse_login(LOGIN_REFUSALS)
        {
            self.begin_stop(Some(LeftWork::LoginRefused));
        }
        if self.stopping.is_begun() || self.lanes.outstanding() > 0 {
            return Ok(());
        }
        let queue = self.setup.queue.clone();
        let clock = self.setup.clock.clone();
        let mut open = self.partitions.machines();
        let has_open = open.any(|machine| !machine.progress().open.is_empty());
        drop(open);
        let has_work = has_open || self.timing.idle_since.is_none();
        let me = (self.setup.name.as_str(), has_work);
        let ledger = &mut self.followed.ledger;
        let gates = SendGates(&self.lanes);
        let checked = self
            .goal
            .check(queue.as_ref(), ledger, (clock.as_ref(), &gates), me);
        match checked.await? {
            GoalStatus::Continue | GoalStatus::HeldBy(_) if self.only_damage_is_left() => {
                self.begin_stop(Some(LeftWork::PartitionsStopped))
            }
            GoalStatus::Continue => {}
            GoalStatus::HeldBy(workers) => {
                self.observer.notice(Notice::HeldBy { workers });
                self.begin_stop(Some(LeftWork::HeldByOthers));
            }
            GoalStatus::WaitUntil(due) => self.observer.notice(Notice::Waiting { until: due }),
            GoalStatus::Done(left) => self.begin_stop(left),
        }
        Ok(())
    }

    /// Partitions are stopped, and the others have had nothing to do for a while.
    fn only_damage_is_left(&self) -> bool {
        let now = self.setup.clock.since_boot();
        let idle_since = self.timing.idle_since;
        let is_idle = idle_since.is_some_and(|since| since + STOPPED_ONLY_AFTER <= now);
        let next_due = self.partitions.next_due(self.setup.clock.now());
        let is_quiet = is_idle && next_due.is_none();
        self.partitions.is_any_stopped() && is_quiet && self.lanes.may_send()
    }

    /// One cycle. `false`: there was nothing to do.
    async fn cycle(&mut self) -> Result<bool, WorkerError> {
        let queue = self.setup.queue.clone();
        let begun = self.setup.clock.since_boot();
        // Log ends before the ledger, so that the ledger has the manifest of every chunk below an end. In the other
        // order a run that starts between the two reads is missing, and the offset may be raised past its chunks.
        let ends = self.log_ends().await;
        self.followed.refresh_ledger(queue.as_ref()).await?;
        self.followed
            .refresh_suppressions(queue.as_ref(), begun)
            .await?;
        self.follow_rate();
        self.follow_hours();
        self.take_back_held();
        self.delete_outdated_reservations();
        // All effects are durable before the commit that builds on them.
        let mut busy = self.make_effects_durable().await?;
        let room = self.claim_room().await?;
        busy |= self.commit(room, &ends).await?;
        let durable = self.checkpoints.now_and_then().await;
        self.take_checkpointed(durable);
        self.start_reads();
        let took = self.setup.clock.since_boot().saturating_sub(begun);
        self.timing.slowest_cycle = took.max(self.timing.slowest_cycle * 63 / 64);
        if busy {
            self.watch.cycle_took(took);
        }
        Ok(busy)
    }

    fn follow_rate(&mut self) {
        let (ledger, lanes) = (&self.followed.ledger, &self.lanes);
        self.rate.follow(ledger, lanes, self.observer.as_ref());
        let mut machines = self.partitions.machines();
        let owns = machines.any(|machine| !machine.is_fencing());
        self.rate.follow_shares(ledger, owns, lanes);
    }

    /// Tells the operator when the send windows close. When they open, connections look for messages again.
    fn follow_hours(&mut self) {
        let next = self.lanes.hours.next();
        let was_outside = std::mem::replace(&mut self.is_outside, next.is_some());
        match next {
            Some(next) if !was_outside => self.observer.notice(Notice::OutsideWindows { next }),
            None if was_outside => self.lanes.wake(),
            _ => {}
        }
    }

    /// Takes back claims that cannot be used now, so that pause and cancel take effect within a tick.
    fn take_back_held(&self) {
        let now = self.setup.clock.now();
        let ledger = &self.followed.ledger;
        self.lanes.take_back_held(|run| !ledger.may_send(run, now));
    }

    /// Ends of the owned logs, now and then; see [`Journal::cycle`] for when.
    async fn log_ends(&mut self) -> BTreeMap<TopicPartition, Offset> {
        let mut ends = BTreeMap::new();
        let now = self.setup.clock.since_boot();
        if !self.truncation.is_due(now, self.stopping.is_begun()) {
            return ends;
        }
        self.truncation.start(&self.setup.queue);
        let owned = self.partitions.of_send();
        let bounds = owned.iter().map(|at| self.setup.queue.bounds(*at));
        let bounds = futures_util::future::join_all(bounds).await;
        for (at, bounds) in owned.into_iter().zip(bounds) {
            // Without an end the offset of an idle partition is not raised this time.
            ends.extend(bounds.ok().map(|bounds| (at, bounds.end)));
        }
        ends
    }

    async fn wait(&self, stop: &Stop) {
        let now = self.setup.clock.since_boot();
        let wall = self.setup.clock.now();
        let due = self.partitions.next_due(wall);
        let due = due
            .and_then(|at| at.duration_since(wall).ok())
            .unwrap_or(TICK);
        let limits = [self.timing.ask_slots_at, self.rate.shares_change_at()];
        let paced = limits.into_iter().flatten().min();
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
            () = stop.asked(), if !self.stopping.is_begun() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
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
