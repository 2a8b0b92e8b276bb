//! One process's handle on the log in memory.

use super::MemoryLog;
use super::members::ProcessId;
use super::membership::MemoryMembership;
use async_trait::async_trait;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::slots::gcra;
use mailq::queue::{
    Bounds, Buckets, Committed, Member, Membership, Queue, QueueError, Record, SlotRequest, Slots,
    Stored,
};
use std::rc::Rc;

/// The process is killed when the last handle on this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub log: MemoryLog,
    pub id: ProcessId,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.log.kill(self.id);
    }
}

#[derive(Debug, Clone)]
pub struct MemoryQueue {
    process: Rc<Process>,
}

impl MemoryQueue {
    pub(super) fn new(log: MemoryLog, id: ProcessId) -> MemoryQueue {
        MemoryQueue {
            process: Rc::new(Process { log, id }),
        }
    }

    /// The argument of [`MemoryLog::set_running`] and others.
    pub fn process_id(&self) -> ProcessId {
        self.process.id
    }

    fn log(&self) -> &MemoryLog {
        &self.process.log
    }
}

#[async_trait(?Send)]
impl Queue for MemoryQueue {
    fn url(&self) -> String {
        "memory:".to_owned()
    }

    fn partitions(&self) -> Partition {
        self.log().settled(|state, _| state.partitions)
    }

    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let create = |state: &mut super::State, _| topics.iter().for_each(|t| state.create(*t));
        self.log().ask(create).await;
        Ok(())
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        let first_partitions = self.log().ask(|state, _| {
            let first = state.logs.keys().filter(|at| at.partition == 0);
            first.map(|at| at.topic).collect()
        });
        Ok(first_partitions.await)
    }

    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError> {
        let count = records.len();
        let sent = self
            .log()
            .settled(|state, now| state.send_records(now, self.process.id, at, records))?;
        self.log().until(sent.answered_at).await;
        self.log().settled(|_, _| ());
        let answers = sent.answers.take();
        if answers.len() < count {
            return Err(QueueError::Unknown(format!(
                "append of {count} records to {at} timed out"
            )));
        }
        Ok(answers.into_values().collect())
    }

    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let read = |state: &mut super::State, _| {
            let is_short = state.random.chance(state.random.faults.short_fetch);
            let max_count = if is_short { 1 } else { usize::MAX };
            let log = state.log(at)?;
            let low_watermark = log.bounds().low_watermark;
            if from < low_watermark && !at.topic.is_compacted() {
                return Err(QueueError::BelowLowWatermark {
                    at,
                    offset: from,
                    low_watermark,
                });
            }
            Ok(log.read(from, max_bytes, max_count))
        };
        self.log().ask(read).await
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        let bounds = self.log().ask(|state, _| Ok(state.log(at)?.bounds()));
        bounds.await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        let find = |state: &mut super::State, _| {
            at.iter().map(|at| state.commits.get(at).cloned()).collect()
        };
        Ok(self.log().ask(find).await)
    }

    fn commits_expire(&self) -> bool {
        self.log().settled(|state, _| state.do_commits_expire)
    }

    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError> {
        let drop = |state: &mut super::State, _| {
            let log = state.logs.get_mut(&at);
            log.ok_or(QueueError::NoTopic(at.topic))?.drop_below(offset);
            Ok(())
        };
        self.log().ask(drop).await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        // Made inside of the request, so that a caller that stops waiting for the answer abandons the membership.
        let join = |state: &mut super::State, _| {
            let id = state.assignments.members.join(self.process.id, name);
            MemoryMembership::new(Rc::clone(&self.process), id)
        };
        Ok(Rc::new(self.log().ask(join).await))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        let list = |state: &mut super::State, _| {
            let member = |(id, member): (_, &super::members::Member)| Member {
                name: member.name.clone(),
                owned: state.assignments.owned_by(id).iter().map(|o| o.0).collect(),
            };
            state.assignments.members.living().map(member).collect()
        };
        Ok(self.log().ask(list).await)
    }

    fn buckets(&self) -> Option<&dyn Buckets> {
        let has_buckets = self.log().state.borrow().buckets.is_some();
        if has_buckets { Some(self) } else { None }
    }
}

#[async_trait(?Send)]
impl Buckets for MemoryQueue {
    async fn take_slots(&self, requests: Vec<SlotRequest>) -> Result<Vec<Slots>, QueueError> {
        let take = |state: &mut super::State, now| {
            let each = requests.iter().map(|request| {
                let Some(buckets) = &mut state.buckets else {
                    return Slots::default();
                };
                let last = buckets.get(&request.bucket).copied();
                let (slots, bucket) = gcra(last, now, request);
                buckets.insert(request.bucket.clone(), bucket);
                slots
            });
            each.collect()
        };
        Ok(self.log().ask(take).await)
    }
}
