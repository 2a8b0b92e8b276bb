//! For tests: queues whose logs and commits are written by hand, as workers would have left them.

use crate::memory::{Faults, MemoryLog, MemoryQueue, VirtualClock};
use mailq::clock::Clock;
use mailq::domain::chunk::{Chunk, ChunkHead, MessageLine};
use mailq::domain::content::MessageContent;
use mailq::domain::counters::Final;
use mailq::domain::event::{Event, EventHeader, EventMetadata, EventPayload, EventType};
use mailq::domain::ids::{Offset, Partition, Row, RunId, RunKey};
use mailq::domain::outcome::Reason;
use mailq::domain::records::{
    CampaignRecord, FileReading, InDoubtPolicy, LeftEntry, Letter, Manifest, Seal, Tally,
    TopicPartitionText,
};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::read_model::campaign_topic::CAMPAIGN;
use mailq::engine::read_model::letter;
use mailq::protocol::{OpenChunk, Progress};
use mailq::queue::chunk::{self, Origin};
use mailq::queue::{Commit, CommitOutcome, Membership, Ownership, Queue, Record, Token};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub const PARTITIONS: Partition = 2;
pub const MINUTE: Topic = Topic::Retry(Duration::from_secs(60));
pub const HOUR: Topic = Topic::Retry(Duration::from_secs(3600));
pub const TIMESTAMP: &str = "2026-01-01T00:00:00Z";
const ORIGIN: Origin = Origin {
    timestamp: TIMESTAMP,
    source: "test/story",
};

pub fn send(partition: Partition) -> TopicPartition {
    TopicPartition::new(Topic::Send, partition)
}

pub fn minute(partition: Partition) -> TopicPartition {
    TopicPartition::new(MINUTE, partition)
}

/// A queue that can be read; virtual time.
pub struct Story {
    queue: MemoryQueue,
    clock: VirtualClock,
    member: RefCell<Option<Rc<dyn Membership>>>,
    tokens: RefCell<BTreeMap<TopicPartition, Token>>,
}

/// What the queue will hold.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub logs: BTreeMap<TopicPartition, Vec<Record>>,
    pub progress: BTreeMap<TopicPartition, Progress>,
}

impl Story {
    pub fn run(test: impl AsyncFnOnce(&Story)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = VirtualClock::start();
            let log = MemoryLog::new(1, PARTITIONS, Duration::from_secs(3600), Faults::none());
            let queue = log.start_process();
            let topics = [
                Topic::Send,
                MINUTE,
                HOUR,
                Topic::Dlq,
                Topic::Event,
                Topic::Campaign,
            ];
            queue.create_topics(&topics).await.unwrap();
            let story = Story {
                queue,
                clock,
                member: RefCell::default(),
                tokens: RefCell::default(),
            };
            test(&story).await;
        });
    }

    pub fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    pub fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub async fn tell(&self, script: Script) {
        self.advance(&Script::default(), script).await;
    }

    /// From what was told before to this: first what is appended, then the commits, in no time but the queue's.
    pub async fn advance(&self, before: &Script, script: Script) {
        for (at, records) in script.logs {
            let known = before.logs.get(&at).map_or(0, Vec::len);
            let new: Vec<Record> = records.into_iter().skip(known).collect();
            if !new.is_empty() {
                self.queue.append(at, new).await.unwrap();
            }
        }
        for (at, progress) in script.progress {
            let (member, token) = self.owned(at).await;
            let commit = Commit {
                at,
                token,
                offset: 0,
                text: progress.text(),
            };
            assert_eq!(member.commit(vec![commit]).await, [CommitOutcome::Done]);
        }
    }

    async fn owned(&self, wanted: TopicPartition) -> (Rc<dyn Membership>, Token) {
        let member = self.member.borrow().clone();
        let member = match member {
            Some(member) => member,
            None => self.queue.join("story").await.unwrap(),
        };
        self.member.replace(Some(member.clone()));
        loop {
            if let Some(token) = self.tokens.borrow().get(&wanted) {
                return (member, *token);
            }
            let Ownership::Gained { at, token } = member.changed().await else {
                panic!("lost");
            };
            self.tokens.borrow_mut().insert(at, token);
        }
    }

    pub async fn everything(&self) -> RunKey {
        let (script, key) = Script::everything();
        self.tell(script).await;
        key
    }
}

impl Script {
    /// One run with a message in each situation: see the tests that use it.
    pub fn everything() -> (Script, RunKey) {
        let mut script = Script::default();
        let id = RunId::new("spring", "1");
        let chunks = [(0, 0..4), (1, 4..6), (1, 6..8)];
        let key = script.enqueue(&id, &chunks, &[3]);
        script.open(send(0), 0);
        for (position, end) in [
            Final::Delivered,
            Final::Bounced,
            Final::Dead,
            Final::Suppressed,
        ]
        .into_iter()
        .enumerate()
        {
            script.end(send(0), 0, position, end);
        }
        script.leave(send(0), key);
        script.open(send(1), 0);
        script.retry(send(1), 0, 1, MINUTE);
        script.retry(send(1), 0, 0, MINUTE);
        script.open(minute(1), 0);
        script.end(minute(1), 0, 0, Final::Delivered);
        (script, key)
    }

    pub fn log(&mut self, at: TopicPartition) -> &mut Vec<Record> {
        self.logs.entry(at).or_default()
    }

    pub fn at(&mut self, at: TopicPartition) -> &mut Progress {
        self.progress.entry(at).or_insert_with(|| Progress {
            owner: "story".into(),
            epoch: 1,
            ..Progress::default()
        })
    }

    pub fn announce(&mut self, record: CampaignRecord) {
        let payload = serde_json::to_vec(&record).unwrap().into();
        self.log(CAMPAIGN).push(Record {
            key: Some(record.key()),
            headers: Vec::new(),
            payload: Some(payload),
        });
    }

    pub fn enqueue(
        &mut self,
        id: &RunId,
        chunks: &[(Partition, Range<Row>)],
        suppressed: &[Row],
    ) -> RunKey {
        let key = id.key();
        let rows = chunks.iter().map(|(_, rows)| rows.end).max().unwrap_or(0);
        let partitions = 0..PARTITIONS;
        let first = partitions
            .map(|p| self.log(send(p)).len() as Offset)
            .collect();
        let manifest = Manifest {
            id: id.clone(),
            key,
            draw: 7,
            fingerprint: "f".into(),
            inputs: BTreeMap::new(),
            replay_of: None,
            first,
            chunk_rows: 4,
            batch_rows: 50_000,
            rows,
            created_at: TIMESTAMP.into(),
            not_before: None,
            expires_after_seconds: None,
            in_doubt: InDoubtPolicy::Resend,
            stream: false,
            recipients: String::new(),
            reading: Box::new(FileReading::default()),
            rows_fingerprint: None,
            pieces: 0,
        };
        self.announce(CampaignRecord::Manifest(manifest));
        let mut last = vec![None; PARTITIONS as usize];
        for (partition, rows) in chunks {
            let lines: Vec<_> = rows
                .clone()
                .map(|row| {
                    (
                        line(id, row, suppressed.contains(&row)),
                        MessageContent::whole(&b"Subject: x\r\n"[..]),
                    )
                })
                .collect();
            let record = chunk::encode(&head(id), ORIGIN, &lines).unwrap();
            self.log(send(*partition)).push(record);
            last[*partition as usize] = Some(self.log(send(*partition)).len() as Offset - 1);
        }
        self.announce(CampaignRecord::Seal(Seal {
            key,
            manifest: 7,
            draw: 8,
            last,
            tally: Tally {
                recipients: rows,
                enqueued: rows - suppressed.len() as u64,
                suppressed: suppressed.len() as u64,
                ..Tally::default()
            },
            sealed_at: TIMESTAMP.into(),
            rows_below: None,
        }));
        key
    }

    pub fn chunk(&self, at: TopicPartition, offset: Offset) -> Chunk {
        chunk::decode(&self.logs[&at][offset as usize]).unwrap()
    }

    pub fn open(&mut self, at: TopicPartition, offset: Offset) {
        let chunk = self.chunk(at, offset);
        let progress = self.at(at);
        let entry = progress.runs.entry(chunk.head.key).or_default();
        match chunk.head.moved_from {
            None => {
                entry.next = offset + 1;
                entry.last_row = Some(chunk.head.last_row);
            }
            Some((source, number)) => {
                progress.next = offset + 1;
                progress.seen.insert(source, number);
            }
        }
        let open = OpenChunk {
            run: chunk.head.key,
            ..OpenChunk::default()
        };
        progress.open.insert(offset, open);
    }

    /// An event of a message as its partition's owner of this number writes it.
    pub fn tell(
        &mut self,
        at: TopicPartition,
        line: &MessageLine,
        kind: EventType,
        is_final: bool,
        owner: u64,
    ) {
        let event = event(at, line, kind, is_final, owner);
        let record = Record {
            key: Some(line.id.clone()),
            headers: Vec::new(),
            payload: Some(serde_json::to_vec(&event).unwrap().into()),
        };
        self.log(TopicPartition::new(Topic::Event, at.partition))
            .push(record);
    }

    pub fn end(&mut self, at: TopicPartition, offset: Offset, position: usize, end: Final) {
        let chunk = self.chunk(at, offset);
        let line = chunk.messages[position].line.clone();
        let number = self.at(at).epoch;
        self.tell(at, &line, end.into(), true, number);
        if matches!(end, Final::Dead | Final::InDoubt) {
            self.at(at).last_move += 1;
            self.bury(at, &chunk, position, end == Final::InDoubt);
        }
        self.done(at, offset, position, |counters| counters.add(end));
    }

    fn bury(&mut self, at: TopicPartition, chunk: &Chunk, position: usize, in_doubt: bool) {
        let message = &chunk.messages[position];
        let kind = if in_doubt {
            EventType::InDoubt
        } else {
            EventType::Dead
        };
        let letter = Letter {
            key: RunId::new("spring", "1").key(),
            campaign: "spring".into(),
            run: "1".into(),
            event: message
                .line
                .row
                .is_multiple_of(2)
                .then(|| event(at, &message.line, kind, true, 1)),
            in_doubt,
            attempts: 1,
            from: TopicPartitionText(at),
            number: self.at(at).last_move,
        };
        let content = (&message.line, &message.content);
        let record = letter::record(&letter, &chunk.head, content, ORIGIN).unwrap();
        self.log(TopicPartition::new(Topic::Dlq, at.partition))
            .push(record);
    }

    pub fn retry(&mut self, at: TopicPartition, offset: Offset, position: usize, tier: Topic) {
        let line = self.chunk(at, offset).messages[position].line.clone();
        let number = self.at(at).epoch;
        self.tell(at, &line, EventType::Deferred, false, number);
        self.at(at).last_move += 1;
        self.copy(at, offset, position, tier);
        self.done(at, offset, position, |counters| counters.moved += 1);
    }

    /// The copy of the last decided move.
    pub fn copy(&mut self, at: TopicPartition, offset: Offset, position: usize, tier: Topic) {
        let chunk = self.chunk(at, offset);
        let line = MessageLine {
            hop: chunk.messages[position].line.hop + 1,
            ..chunk.messages[position].line.clone()
        };
        let head = ChunkHead {
            moved_from: Some((at, self.at(at).last_move)),
            ..chunk.head.clone()
        };
        let content = chunk.messages[position].content.clone();
        let record = chunk::encode(&head, ORIGIN, &[(line, content)]).unwrap();
        self.log(TopicPartition::new(tier, at.partition))
            .push(record);
    }

    fn done(
        &mut self,
        at: TopicPartition,
        offset: Offset,
        position: usize,
        count: impl FnOnce(&mut mailq::domain::counters::Counters),
    ) {
        let size = self.chunk(at, offset).messages.len();
        let progress = self.at(at);
        let open = progress.open.get_mut(&offset).unwrap();
        open.done.add(position);
        let key = open.run;
        if open.done.count() == size {
            progress.open.remove(&offset);
        }
        count(&mut progress.runs.get_mut(&key).unwrap().counters);
    }

    /// The run's entry leaves the string.
    pub fn leave(&mut self, at: TopicPartition, key: RunKey) {
        let progress = self.at(at);
        let Some(entry) = progress.runs.remove(&key) else {
            return;
        };
        let (gone, stay): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut progress.open)
            .into_iter()
            .partition(|(_, open)| open.run == key);
        progress.open = stay;
        let owner = progress.epoch;
        // A tier has one cursor for all runs.
        let next = match at.topic {
            Topic::Send => entry.next,
            _ => progress.next,
        };
        self.announce(CampaignRecord::Left(LeftEntry {
            key,
            at: at.to_string(),
            owner,
            next,
            last_row: entry.last_row,
            open: gone
                .into_iter()
                .map(|(offset, open)| (offset, open.done.text()))
                .collect(),
            counters: entry.counters,
        }));
    }
}

fn head(id: &RunId) -> ChunkHead {
    ChunkHead {
        campaign: id.campaign.clone(),
        run: id.run.clone(),
        key: id.key(),
        fingerprint: "f".into(),
        first_row: 0,
        last_row: 0,
        count: 0,
        moved_from: None,
        trace_id: "t".into(),
    }
}

fn line(id: &RunId, row: Row, is_suppressed: bool) -> MessageLine {
    MessageLine {
        row,
        line: row + 2,
        address: format!("r{row}@example.org"),
        id: format!("{row}.{}@example.net", id.run),
        return_path: "b@example.net".into(),
        tries: 0,
        hop: 0,
        round: 0,
        suppressed: is_suppressed.then(|| "manual".into()),
        bytes: 0,
    }
}

fn event(
    at: TopicPartition,
    line: &MessageLine,
    kind: EventType,
    is_final: bool,
    owner: u64,
) -> Event {
    let id = RunId::new("spring", "1");
    Event {
        header: EventHeader {
            message_id: line.id.clone(),
            event_type: kind,
            event_version: 1,
            timestamp: TIMESTAMP.into(),
            source: "story".into(),
            trace_id: "t".into(),
        },
        payload: EventPayload {
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            key: id.key(),
            row: line.row,
            address: line.address.clone(),
            relay: None,
            site: "example.org".into(),
            reply: Some("550 no".into()),
            class: None,
            reason: Some(Reason::NoMailbox),
            scope: None,
            is_final,
        },
        metadata: EventMetadata {
            retry_count: line.tries,
            tags: Vec::new(),
            round: line.round,
            hop: line.hop,
            owner,
            partition: at.to_string(),
        },
    }
}
