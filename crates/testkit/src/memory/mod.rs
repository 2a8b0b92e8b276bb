//! The queue in memory, for tests and simulations: any fault that Kafka may show, on tokio's virtual time, every choice
//! from one seed. Single-threaded; all processes of a simulation share one `MemoryLog`.

mod assignments;
mod clock;
mod faults;
mod handle;
mod history;
mod log;
mod members;
mod membership;
mod sending;
mod state;

pub use clock::VirtualClock;
pub use faults::Faults;
pub use handle::MemoryQueue;
pub use history::{EndedOwnership, History, WrittenCommit};
pub use members::ProcessId;

use mailq::clock::Clock;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::{Committed, Stored};
use state::State;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The log itself, for the driver of a simulation. Each simulated process has a [`MemoryQueue`].
#[derive(Debug, Clone)]
pub struct MemoryLog {
    state: Rc<RefCell<State>>,
    clock: VirtualClock,
}

impl MemoryLog {
    /// An empty log; its clock starts now. Must be called inside a tokio runtime whose time is paused.
    pub fn new(seed: u64, partitions: Partition, lease: Duration, faults: Faults) -> MemoryLog {
        let random = faults::Random::new(seed, faults);
        MemoryLog {
            state: Rc::new(RefCell::new(State::new(partitions, random, lease))),
            clock: VirtualClock::start(),
        }
    }

    /// The clock of every process.
    pub fn clock(&self) -> VirtualClock {
        self.clock
    }

    /// The handle of a new process. The process is killed when the handle and everything made from it are dropped.
    pub fn start_process(&self) -> MemoryQueue {
        let id = self.settled(|state, _| state.assignments.members.start_process());
        MemoryQueue::new(self.clone(), id)
    }

    /// Changes the faults from now on. What becomes of a request was drawn when it was sent.
    pub fn set_faults(&self, faults: Faults) {
        self.settled(|state, _| state.random.faults = faults);
    }

    /// From now on there are no buckets that processes share. Must be called before a slot is taken.
    pub fn remove_buckets(&self) {
        self.state.borrow_mut().buckets = None;
    }

    /// Must be called every few virtual milliseconds: does what is due, ends leases, assigns free partitions, and now and
    /// then moves a partition or compacts a topic.
    pub fn tick(&self) {
        self.settled(|state, now| state.tick(now));
    }

    /// Stops a process or lets it run again. It loses its partitions when it is stopped for longer than its lease.
    pub fn set_running(&self, process: ProcessId, is_running: bool) {
        self.settled(|state, now| {
            if is_running {
                state.assignments.members.resume(process);
            } else {
                state.assignments.members.halt(process, now);
            }
        });
    }

    /// From now on this queue forgets commits, at [`MemoryLog::expire_commits`].
    pub fn let_commits_expire(&self) {
        self.settled(|state, _| state.do_commits_expire = true);
    }

    /// Forgets all commits if there is no member. False: there is one.
    pub fn expire_commits(&self) -> bool {
        self.settled(|state, _| {
            let is_empty = state.assignments.members.living().next().is_none();
            if is_empty {
                state.commits.clear();
            }
            is_empty
        })
    }

    /// The process never runs again. What it has in flight may still land; its partitions are free after the lease.
    pub fn kill(&self, process: ProcessId) {
        self.settled(|state, now| state.assignments.members.kill(process, now));
    }

    /// Ends the lease of a process now: it loses every partition, and learns of it by notices.
    pub fn expire(&self, process: ProcessId) {
        self.settled(|state, now| {
            state
                .assignments
                .revoke_all_of_process(process, now, &mut state.random)
        });
    }

    /// Revokes some partition, or asks its owner to release it.
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

    /// Whether a record, a commit or a revocation is still in flight.
    pub fn is_anything_in_flight(&self) -> bool {
        self.settled(|state, _| state.is_anything_in_flight())
    }

    /// The records of a topic that can be read, by partition and offset.
    pub fn records(&self, topic: Topic) -> Vec<(Partition, Stored)> {
        self.settled(|state, _| {
            let logs = state.logs.iter().filter(|(at, _)| at.topic == topic);
            logs.flat_map(|(at, log)| log.standing(0).map(|s| (at.partition, s.clone())))
                .collect()
        })
    }

    /// Every record that ever landed in a topic, dropped and compacted ones included, by partition and offset.
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
            ended: state.assignments.ended.clone(),
        })
    }

    /// Reads or changes the state after everything that was due until now.
    fn settled<T>(&self, look: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.clock.since_boot();
        let mut state = self.state.borrow_mut();
        state.settle(now);
        look(&mut state, now)
    }

    /// A request with its latency: half before the log sees it, half before its answer arrives.
    async fn ask<T>(&self, look: impl FnOnce(&mut State, Duration) -> T) -> T {
        let latency = self.settled(|state, _| state.random.latency());
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
