//! The queue in memory, for tests and simulations: any fault that Kafka may show, on tokio's virtual time, every choice
//! from one seed. Single-threaded; all processes of a simulation share one `MemoryLog`.

mod clock;
mod handle;
mod history;
mod log;
mod members;
mod membership;
mod seats;
mod sending;
mod state;
mod faults;

pub use clock::VirtualClock;
pub use handle::MemoryQueue;
pub use history::{EndedOwnership, History, WrittenCommit};
pub use members::ProcessId;
pub use faults::Faults;

use mailq::clock::Clock;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::{Committed, Stored};
use state::State;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The log itself, for whoever drives a simulation; its processes have a [`MemoryQueue`] each.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    state: Rc<RefCell<State>>,
    clock: VirtualClock,
}

impl MemoryLog {
    /// An empty log; its clock starts now. To be called inside a tokio runtime whose time is paused.
    pub fn new(seed: u64, partitions: Partition, lease: Duration, faults: Faults) -> MemoryLog {
        let dice = faults::Dice::new(seed, faults);
        MemoryLog {
            state: Rc::new(RefCell::new(State::new(partitions, dice, lease))),
            clock: VirtualClock::start(),
        }
    }

    /// The clock of every process.
    pub fn clock(&self) -> VirtualClock {
        self.clock
    }

    /// A new process's handle. When it and everything made from it are dropped, the process counts as killed.
    pub fn start_process(&self) -> MemoryQueue {
        let id = self.settled(|state, _| state.seats.members.start_process());
        MemoryQueue::new(self.clone(), id)
    }

    /// Changes the faults from now on. What becomes of a request was drawn when it was sent.
    pub fn set_faults(&self, faults: Faults) {
        self.settled(|state, _| state.dice.faults = faults);
    }

    /// From now on there are no buckets for all processes. To be called before anybody takes a slot.
    pub fn remove_buckets(&self) {
        self.state.borrow_mut().buckets = None;
    }

    /// To be called every few virtual milliseconds: lets happen what is due, ends leases, gives vacant partitions to
    /// members that run, and now and then moves a partition or compacts a topic.
    pub fn tick(&self) {
        self.settled(|state, now| state.tick(now));
    }

    /// Whether the process runs. After a lease without running its partitions are lost.
    pub fn set_running(&self, process: ProcessId, is_running: bool) {
        self.settled(|state, now| {
            if is_running {
                state.seats.members.resume(process);
            } else {
                state.seats.members.halt(process, now);
            }
        });
    }

    /// From now on this is a queue that forgets commits, at [`MemoryLog::expire_commits`].
    pub fn let_commits_expire(&self) {
        self.settled(|state, _| state.do_commits_expire = true);
    }

    /// All commits are gone, if nobody is a member. `false`: somebody is.
    pub fn expire_commits(&self) -> bool {
        self.settled(|state, _| {
            let is_empty = state.seats.members.living().next().is_none();
            if is_empty {
                state.commits.clear();
            }
            is_empty
        })
    }

    /// The process never runs again. What it sent may still land; its partitions are free after the lease.
    pub fn kill(&self, process: ProcessId) {
        self.settled(|state, now| state.seats.members.kill(process, now));
    }

    /// The process's lease ends now: it loses every partition, and learns of it when it asks.
    pub fn expire(&self, process: ProcessId) {
        self.settled(|state, now| {
            state
                .seats
                .take_all_of_process(process, now, &mut state.dice)
        });
    }

    /// Takes some partition from its owner, or asks for it.
    pub fn rebalance_randomly(&self) {
        self.settled(|state, now| state.move_any(now));
    }

    pub fn compact_randomly(&self) {
        self.settled(|state, _| state.compact_any());
    }

    /// Compacts every compacted topic to its end.
    pub fn compact_all(&self) {
        self.settled(|state, _| state.compact_all());
    }

    /// Whether a record, a commit or a loss of ownership has yet to happen.
    pub fn is_anything_under_way(&self) -> bool {
        self.settled(|state, _| state.is_anything_under_way())
    }

    /// What can be read of a topic, by partition and offset.
    pub fn records(&self, topic: Topic) -> Vec<(Partition, Stored)> {
        self.settled(|state, _| {
            let logs = state.logs.iter().filter(|(at, _)| at.topic == topic);
            logs.flat_map(|(at, log)| log.standing(0).map(|s| (at.partition, s.clone())))
                .collect()
        })
    }

    /// Everything that ever landed in a topic, dropped and compacted records too, by partition and offset.
    pub fn all_appended(&self, topic: Topic) -> Vec<(Partition, Stored)> {
        self.settled(|state, _| {
            let logs = state.logs.iter().filter(|(at, _)| at.topic == topic);
            logs.flat_map(|(at, log)| log.ever_landed().iter().map(|s| (at.partition, s.clone())))
                .collect()
        })
    }

    /// The offset that the next record of a partition will have.
    pub fn end(&self, at: TopicPartition) -> Offset {
        self.settled(|state, _| state.log(at).map_or(0, |log| log.bounds().end))
    }

    /// The last commit of every partition that has one.
    pub fn commits(&self) -> BTreeMap<TopicPartition, Committed> {
        self.settled(|state, _| state.commits.clone())
    }

    /// Every commit and every end of an ownership so far.
    pub fn history(&self) -> History {
        self.settled(|state, _| History {
            commits: state.written.clone(),
            ended: state.seats.ended.clone(),
        })
    }

    /// Looks at the state as it is now.
    fn settled<T>(&self, look: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.clock.since_boot();
        let mut state = self.state.borrow_mut();
        state.settle(now);
        look(&mut state, now)
    }

    /// A request that takes its time: there, at the log, and back.
    async fn ask<T>(&self, look: impl FnOnce(&mut State, Duration) -> T) -> T {
        let latency = self.settled(|state, _| state.dice.latency());
        tokio::time::sleep(latency / 2).await;
        let answer = self.settled(look);
        tokio::time::sleep(latency / 2).await;
        answer
    }

    /// Waits for an instant of the log's clock.
    async fn until(&self, since_boot: Duration) {
        tokio::time::sleep_until(self.clock.instant(since_boot)).await;
    }
}

#[cfg(test)]
mod tests;
