//! Processes that run, are stopped or were killed, the members in them, and the notices on their way to each member.

use mailq::queue::Ownership;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// A simulated process, which can be stopped and killed.
pub type ProcessId = u64;
pub(super) type MemberId = u64;

#[derive(Debug, Default)]
struct Process {
    /// Since when it does not run.
    halted_at: Option<Duration>,
    dead: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    process: ProcessId,
    /// When its handle was dropped without leaving.
    abandoned_at: Option<Duration>,
    /// Its lease has ended. It is a member again as soon as its process runs again.
    expired: bool,
    notices: VecDeque<(Duration, Ownership)>,
    pub wake: Rc<Notify>,
}

#[derive(Debug)]
pub(super) struct Members {
    pub lease: Duration,
    processes: BTreeMap<ProcessId, Process>,
    members: BTreeMap<MemberId, Member>,
    last_member: MemberId,
}

impl Members {
    pub fn new(lease: Duration) -> Members {
        Members {
            lease,
            processes: BTreeMap::new(),
            members: BTreeMap::new(),
            last_member: 0,
        }
    }

    pub fn start_process(&mut self) -> ProcessId {
        let id = self.processes.len() as ProcessId + 1;
        self.processes.insert(id, Process::default());
        id
    }

    pub fn halt(&mut self, process: ProcessId, now: Duration) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.halted_at.get_or_insert(now);
        }
    }

    /// Does nothing for a killed process.
    pub fn resume(&mut self, process: ProcessId) {
        if let Some(entry) = self.processes.get_mut(&process).filter(|p| !p.dead) {
            entry.halted_at = None;
            for member in self.members.values_mut() {
                member.expired &= member.process != process;
            }
        }
    }

    pub fn kill(&mut self, process: ProcessId, now: Duration) {
        self.halt(process, now);
        if let Some(process) = self.processes.get_mut(&process) {
            process.dead = true;
        }
    }

    pub fn is_dead(&self, process: ProcessId) -> bool {
        self.processes.get(&process).is_none_or(|p| p.dead)
    }

    pub fn join(&mut self, process: ProcessId, name: &str) -> MemberId {
        self.last_member += 1;
        let member = Member {
            name: name.to_owned(),
            process,
            abandoned_at: None,
            expired: false,
            notices: VecDeque::new(),
            wake: Rc::new(Notify::new()),
        };
        self.members.insert(self.last_member, member);
        self.last_member
    }

    pub fn remove(&mut self, member: MemberId) {
        self.members.remove(&member);
    }

    pub fn abandon(&mut self, member: MemberId, now: Duration) {
        if let Some(member) = self.members.get_mut(&member) {
            member.abandoned_at.get_or_insert(now);
        }
    }

    pub fn of_process(&self, process: ProcessId) -> Vec<MemberId> {
        let of_it = self.members.iter().filter(|(_, m)| m.process == process);
        of_it.map(|(id, _)| *id).collect()
    }

    pub fn process_of(&self, member: MemberId) -> Option<ProcessId> {
        self.members.get(&member).map(|m| m.process)
    }

    pub fn wake_handle(&self, member: MemberId) -> Option<Rc<Notify>> {
        self.members.get(&member).map(|m| Rc::clone(&m.wake))
    }

    /// Members whose lease has not ended, stopped ones included.
    pub fn living(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        let living = self.members.iter().filter(|(_, m)| !m.expired);
        living.map(|(id, member)| (*id, member))
    }

    /// Members that partitions are assigned to.
    pub fn running(&self) -> Vec<MemberId> {
        let running = self
            .living()
            .filter(|(_, m)| self.silent_since(m).is_none());
        running.map(|(id, _)| id).collect()
    }

    fn silent_since(&self, member: &Member) -> Option<Duration> {
        let process = self.processes.get(&member.process);
        let halted_at = process.and_then(|p| p.halted_at);
        [halted_at, member.abandoned_at].into_iter().flatten().min()
    }

    /// Expires the member whose lease ends first, if one ends by `until`. Returns when, and which.
    pub fn expire_next(&mut self, until: Duration) -> Option<(Duration, MemberId)> {
        let ends = self
            .living()
            .filter_map(|(id, member)| Some((self.silent_since(member)? + self.lease, id)))
            .min()
            .filter(|(end, _)| *end <= until)?;
        if let Some(member) = self.members.get_mut(&ends.1) {
            member.expired = true;
        }
        Some(ends)
    }

    /// Notices reach a member in order, each not before `at`.
    pub fn notify(&mut self, member: MemberId, at: Duration, notice: Ownership) {
        if let Some(member) = self.members.get_mut(&member) {
            let at = member
                .notices
                .back()
                .map_or(at, |(before, _)| at.max(*before));
            member.notices.push_back((at, notice));
            member.wake.notify_one();
        }
    }

    /// The next notice that has arrived by now. Err: when the next one arrives, if any is on its way.
    pub fn next_notice(
        &mut self,
        member: MemberId,
        now: Duration,
    ) -> Result<Ownership, Option<Duration>> {
        let notices = self.members.get_mut(&member).map(|m| &mut m.notices);
        let Some((notices, at)) =
            notices.and_then(|n| n.front().map(|(at, _)| *at).map(|at| (n, at)))
        else {
            return Err(None);
        };
        if at > now {
            return Err(Some(at));
        }
        notices.pop_front().map(|(_, notice)| notice).ok_or(None)
    }
}
