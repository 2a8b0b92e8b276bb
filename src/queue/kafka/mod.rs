//! The queue on Apache Kafka: topics, a consumer group, and progress in the metadata of its offsets. Everything that
//! blocks has threads of its own: questions, reading, the group, commits.

mod alone;
mod asker;
mod clients;
mod closing;
mod codec;
mod context;
mod describe;
mod failure;
mod group;
mod health;
mod locked;
mod membership;
mod patience;
mod pipeline;
mod predecessors;
mod producer;
mod reader;
pub mod settings;
mod statistics;
mod token;
mod topics;

pub use closing::wait_until_closed;
pub use settings::KafkaSettings;
pub use topics::configuration;

use super::{
    Bounds, Committed, Member, Membership, Metric, Queue, QueueError, Record, Stored, TopicState,
};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use alone::Alone;
use asker::Asker;
use async_trait::async_trait;
use closing::Open;
use context::Context;
use failure::Explainer;
use health::Health;
use membership::{KafkaMembership, MemberSetup};
use patience::{Patience, patiently};
use producer::{Appended, Appender};
use reader::{FetchRequest, Reader};
use statistics::Statistics;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use topics::Topics;

/// A record that is there comes within this, or the cluster is away.
const READ: Duration = Duration::from_secs(10);
/// How much of the log is read at a time to find records that were acknowledged without an offset.
const FIND_BYTES: usize = 1 << 20;
/// A record that was just acknowledged is one of so many last ones.
const RECENT: Offset = 1_000;

/// A handle on a cluster. One per process; its clients have threads of their own.
pub struct KafkaQueue {
    settings: KafkaSettings,
    context: Context,
    explainer: Explainer,
    partitions: Cell<Partition>,
    asker: Asker,
    // What a command does not need is not connected.
    appender: OnceCell<Arc<Appender>>,
    reader: OnceCell<Reader>,
    topics: OnceCell<Topics>,
}

impl KafkaQueue {
    /// Checks the settings and asks the cluster for its topics; blocks while it does, for the queue timeout at the
    /// most. Errors: `Setting`, `Login`, `Denied`, `Away`.
    pub fn open(settings: KafkaSettings) -> Result<Rc<KafkaQueue>, QueueError> {
        settings.check()?;
        let health = Health::default();
        let context = Context {
            health: health.clone(),
            token_command: settings.token_command.clone(),
            statistics: Statistics::default(),
            alone: Alone::new(&settings.brokers),
            // Without TLS or a login none of its threads uses OpenSSL.
            _open: settings.is_secured().then(Open::new),
        };
        let explainer = Explainer {
            url: settings.url(),
            env: settings.env.clone(),
            health,
        };
        let asker = Asker::start(&settings, context.of_a_client(), explainer.clone())?;
        let mut patience = Patience::new(settings.queue_timeout);
        let there = loop {
            match asker.list_blocking() {
                Ok(there) => break there,
                Err(why) => std::thread::sleep(patience.next(&why).ok_or(why)?),
            }
        };
        let partitions = there.get(&Topic::Send).copied();
        Ok(Rc::new(KafkaQueue {
            partitions: Cell::new(partitions.unwrap_or(settings.partitions.max(1))),
            settings,
            context,
            explainer,
            asker,
            appender: OnceCell::new(),
            reader: OnceCell::new(),
            topics: OnceCell::new(),
        }))
    }

    /// Of the consumer group: `prod.mail`.
    pub fn group(&self) -> String {
        self.settings.group()
    }

    fn appender(&self) -> Result<Arc<Appender>, QueueError> {
        if let Some(appender) = self.appender.get() {
            return Ok(Arc::clone(appender));
        }
        let (context, explainer) = (self.context.of_a_client(), self.explainer.clone());
        let appender = Arc::new(Appender::start(&self.settings, context, explainer)?);
        Ok(Arc::clone(self.appender.get_or_init(|| appender)))
    }

    fn reader(&self) -> Result<&Reader, QueueError> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let (context, explainer) = (self.context.of_a_client(), self.explainer.clone());
        let reader = Reader::start(&self.settings, context, explainer)?;
        Ok(self.reader.get_or_init(|| reader))
    }

    fn admin(&self) -> Result<&Topics, QueueError> {
        if let Some(topics) = self.topics.get() {
            return Ok(topics);
        }
        let (context, explainer) = (self.context.of_a_client(), self.explainer.clone());
        let topics = Topics::start(&self.settings, context, explainer, self.asker.clone())?;
        Ok(self.topics.get_or_init(|| topics))
    }

    async fn read(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let reader = self.reader()?;
        let mut request = FetchRequest {
            at,
            place: self.asker.place(at).await?,
            from,
            max_bytes,
        };
        loop {
            if let Some(records) = reader.take(request.clone()).await? {
                return Ok(records);
            }
            // Asked for anew each time: what was appended before this call must be seen.
            let bounds = self.asker.bounds(at).await?;
            if from < bounds.low_watermark && !at.topic.is_compacted() {
                return Err(QueueError::BelowLowWatermark {
                    at,
                    offset: from,
                    low_watermark: bounds.low_watermark,
                });
            }
            request.from = from.max(bounds.low_watermark);
            if request.from >= bounds.end {
                reader.unassign(at);
                return Ok(Vec::new());
            }
            if let Some(records) = reader.read(request.clone(), READ).await? {
                return Ok(records);
            }
        }
    }

    /// Looks in the log for records that were acknowledged without an offset. `None`: not all of them are there.
    async fn find(
        &self,
        at: TopicPartition,
        from: Option<Offset>,
        records: &[Record],
    ) -> Result<Option<Vec<Offset>>, QueueError> {
        let mut next = match from {
            Some(from) => from,
            None => {
                let bounds = self.asker.bounds(at).await?;
                bounds.end.saturating_sub(RECENT).max(bounds.low_watermark)
            }
        };
        let mut found = Vec::with_capacity(records.len());
        while found.len() < records.len() {
            let stored = self.read(at, next, FIND_BYTES).await?;
            let Some(last) = stored.last() else {
                return Ok(None);
            };
            next = last.offset + 1;
            for stored in stored {
                if records.get(found.len()) == Some(&stored.record) {
                    found.push(stored.offset);
                }
            }
        }
        Ok(Some(found))
    }
}

#[async_trait(?Send)]
impl Queue for KafkaQueue {
    fn url(&self) -> String {
        self.settings.url()
    }

    fn partitions(&self) -> Partition {
        self.partitions.get()
    }

    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let admin = self.admin()?;
        patiently(self.settings.queue_timeout, async || {
            admin.create(topics).await
        })
        .await?;
        self.topics().await.map(drop)
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        let there = patiently(self.settings.queue_timeout, async || {
            self.asker.list().await
        })
        .await?;
        if let Some(count) = there.get(&Topic::Send) {
            self.partitions.set(*count);
        }
        Ok(there.into_keys().collect())
    }

    async fn describe_topics(&self) -> Result<Vec<TopicState>, QueueError> {
        let topics = self.topics().await?;
        self.admin()?.describe(&topics).await
    }

    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError> {
        let place = patiently(self.settings.queue_timeout, async || {
            self.asker.place(at).await
        })
        .await?;
        let appender = self.appender()?;
        match appender.append(at, place, &records).await? {
            Appended::At(offsets) => Ok(offsets),
            Appended::From(from) => match self.find(at, from, &records).await {
                Ok(Some(offsets)) => Ok(offsets),
                Ok(None) => Err(appender.lost_track(at)),
                Err(error) => {
                    tracing::warn!(%at, %error, "looking for acknowledged records");
                    Err(appender.lost_track(at))
                }
            },
        }
    }

    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        // Whoever follows a topic hears of it, though he has nothing to append.
        self.explainer.unbroken()?;
        patiently(self.settings.queue_timeout, async || {
            self.read(at, from, max_bytes).await
        })
        .await
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        patiently(self.settings.queue_timeout, async || {
            self.asker.bounds(at).await
        })
        .await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        patiently(self.settings.queue_timeout, async || {
            self.asker.committed(at.to_vec()).await
        })
        .await
    }

    fn commits_expire(&self) -> bool {
        true
    }

    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError> {
        let place = self.asker.place(at).await?;
        self.admin()?.drop_below(at, place, offset).await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        let topics = self.topics().await?;
        // A right that is missing is an error here; as a member one would wait for partitions for ever.
        self.committed(&[TopicPartition::new(Topic::Send, 0)])
            .await?;
        predecessors::wait(self, name).await?;
        let appender = self.appender()?;
        let setup = MemberSetup {
            name,
            settings: &self.settings,
            context: self.context.of_a_client(),
            asker: self.asker.clone(),
            explainer: self.explainer.clone(),
            topics: topics.into_iter().filter(Topic::is_owned).collect(),
            flush: Arc::new(move |longest| appender.flush(longest)),
        };
        Ok(Rc::new(KafkaMembership::start(setup)?))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        patiently(self.settings.queue_timeout, async || {
            self.asker.members().await
        })
        .await
    }

    fn metrics(&self) -> Vec<Metric> {
        self.context.statistics.metrics()
    }
}
