//! A queue that breaks its contract in one way: the worker reports it and stops the partition. It does not treat the
//! partition as empty, and marks nothing done.

use super::campaign;
use super::profile::Profile;
use super::world::World;
use async_trait::async_trait;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::worker::{self, Notice, Observer, Stop, Summary};
use mailq::protocol::Progress;
use mailq::queue::{
    Bounds, Buckets, Commit, CommitOutcome, Committed, Member, Membership, Ownership, Queue,
    QueueError, Record, Stored, Token,
};
use mailq_testkit::memory::MemoryQueue;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Asked for commits, it answers for no partition.
    CommitsAreLeftOut,
    /// Commits have no outcome.
    OutcomesAreLeftOut,
    /// A partition is gained a second time.
    GainedTwice,
    /// Durable chunks are missing.
    RecordsAreGone,
    /// Needed chunks were deleted while the partition is still owned.
    RecordsAreDropped,
}

struct LyingQueue {
    inner: MemoryQueue,
    lie: Lie,
}

#[async_trait(?Send)]
impl Queue for LyingQueue {
    fn url(&self) -> String {
        self.inner.url()
    }

    fn partitions(&self) -> Partition {
        self.inner.partitions()
    }

    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError> {
        self.inner.create_topics(topics).await
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        self.inner.topics().await
    }

    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError> {
        self.inner.append(at, records).await
    }

    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        match self.lie {
            Lie::RecordsAreGone if at.topic == Topic::Send => Ok(Vec::new()),
            Lie::RecordsAreDropped if at.topic == Topic::Send && from > 0 => {
                Err(QueueError::BelowLowWatermark {
                    at,
                    offset: from,
                    low_watermark: Offset::MAX,
                })
            }
            _ => self.inner.fetch(at, from, max_bytes).await,
        }
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        self.inner.bounds(at).await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        match self.lie {
            Lie::CommitsAreLeftOut => Ok(Vec::new()),
            _ => self.inner.committed(at).await,
        }
    }

    fn commits_expire(&self) -> bool {
        self.inner.commits_expire()
    }

    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError> {
        self.inner.drop_below(at, offset).await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        let (inner, lie) = (self.inner.join(name).await?, self.lie);
        let again = RefCell::default();
        Ok(Rc::new(LyingMembership { inner, lie, again }))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        self.inner.members().await
    }

    fn buckets(&self) -> Option<&dyn Buckets> {
        self.inner.buckets()
    }
}

struct LyingMembership {
    inner: Rc<dyn Membership>,
    lie: Lie,
    again: RefCell<Option<Ownership>>,
}

#[async_trait(?Send)]
impl Membership for LyingMembership {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn changed(&self) -> Ownership {
        if let Some(change) = self.again.take() {
            return change;
        }
        let change = self.inner.changed().await;
        if self.lie == Lie::GainedTwice && matches!(change, Ownership::Gained { .. }) {
            self.again.replace(Some(change.clone()));
        }
        change
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let outcomes = self.inner.commit(commits).await;
        match self.lie {
            Lie::OutcomesAreLeftOut => Vec::new(),
            _ => outcomes,
        }
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        self.inner.release(at, token).await
    }

    async fn leave(&self) {
        self.inner.leave().await
    }
}

#[derive(Default)]
struct Heard(RefCell<Vec<String>>);

impl Observer for Heard {
    fn notice(&self, notice: Notice) {
        if let Notice::PartitionStopped { why, .. } = notice {
            self.0.borrow_mut().push(why);
        }
    }
    fn progress(&self, _: &Summary) {}
}

/// Why partitions were stopped, and how many messages are done in the commits.
fn work_with(lie: Lie) -> (Vec<String>, usize) {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let mut world = World::start(17, Profile::Clean).await;
        let (clock, plan) = (world.log.clock(), world.plans[0].clone());
        campaign::enqueue(&world.log.start_process(), clock, &plan).await;
        let mut setup = world.setup(Rc::new(world.log.start_process()));
        let inner = world.log.start_process();
        setup.queue = Rc::new(LyingQueue { inner, lie });
        let (heard, stop) = (Rc::new(Heard::default()), Rc::new(Stop::default()));
        let asked = stop.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            asked.ask();
        });
        let ended = worker::run(setup, stop, heard.clone()).await;
        assert!(ended.is_ok(), "{lie:?}: {ended:?}");
        let commits = world.log.commits().into_values();
        let done = commits.map(|commit| {
            let progress = Progress::parse(&commit.text, &()).unwrap();
            let open: usize = progress.open.values().map(|chunk| chunk.done.count()).sum();
            let ended: u64 = progress.runs.values().map(|run| run.counters.left()).sum();
            open + ended as usize
        });
        (heard.0.take(), done.sum())
    }))
}

#[test]
fn a_queue_that_breaks_its_contract_stops_the_partition() {
    for (lie, why) in [
        (
            Lie::CommitsAreLeftOut,
            "the queue answers for each partition",
        ),
        (
            Lie::OutcomesAreLeftOut,
            "the queue answers for each partition",
        ),
        (
            Lie::GainedTwice,
            "a partition is lost before it is gained again",
        ),
        (Lie::RecordsAreGone, "names it, and it is gone"),
        (
            Lie::RecordsAreDropped,
            "records that are still needed are kept",
        ),
    ] {
        let (stopped, done) = work_with(lie);
        assert!(!stopped.is_empty(), "{lie:?} was not heard");
        let others: Vec<_> = stopped
            .iter()
            .filter(|heard| !heard.contains(why))
            .collect();
        assert!(others.is_empty(), "{lie:?}: {others:?}");
        let may_begin = lie == Lie::RecordsAreDropped;
        assert!(done == 0 || may_begin, "{lie:?}: {done} are done");
    }
}
