//! The queue on Apache Kafka: topics, one consumer group, and progress in the metadata of its committed offsets.
//!
//! Each thing that blocks has a client and a thread of its own, so that none waits for another: `query` asks for offsets,
//! commits and members; `reader` reads logs; `membership` is the member of the group; `producer` appends. librdkafka is
//! the client library. What its errors mean is in `failure`, how its clients are configured in `clients`.

mod appender;
mod backoff;
mod bootstrap;
mod clients;
mod codec;
mod context;
mod dead_members;
mod describe;
mod failure;
mod fetch;
mod group;
mod health;
mod locked;
mod membership;
mod oauth;
mod pipeline;
mod producer;
mod query;
mod reader;
pub mod settings;
mod shutdown;
mod statistics;
mod topics;

pub use settings::KafkaSettings;
pub use shutdown::wait_until_closed;
pub use topics::configuration;

use super::{
    Bounds, Committed, Member, Membership, Metric, Queue, QueueError, Record, Stored, TopicState,
};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use appender::{Appended, Appender};
use async_trait::async_trait;
use backoff::{Backoff, with_backoff};
use bootstrap::Bootstrap;
use context::Context;
use failure::Explainer;
use fetch::Fetcher;
use health::Health;
use membership::{KafkaMembership, MemberSetup};
use query::QueryClient;
use shutdown::OpenClient;
use statistics::Statistics;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use topics::TopicAdmin;

/// A handle on a cluster: one for each process.
pub struct KafkaQueue {
    settings: KafkaSettings,
    context: Context,
    explainer: Explainer,
    partitions: Cell<Partition>,
    queries: QueryClient,
    fetcher: Fetcher,
    // Clients that a command does not need are not created.
    appender: OnceCell<Arc<Appender>>,
    topics: OnceCell<TopicAdmin>,
}

impl KafkaQueue {
    /// Checks the settings and lists the topics. Blocks until the cluster answers, for the queue timeout at the most.
    /// Errors: `Setting`, `Login`, `Denied`, `Away`.
    pub fn open(settings: KafkaSettings) -> Result<Rc<KafkaQueue>, QueueError> {
        settings.check()?;
        let health = Health::default();
        let context = Context {
            health: health.clone(),
            token_command: settings.token_command.clone(),
            statistics: Statistics::default(),
            bootstrap: Bootstrap::new(&settings.brokers),
            // Without TLS and a login no thread uses OpenSSL, so the process need not wait for them.
            _open: settings.is_secured().then(OpenClient::new),
        };
        let explainer = Explainer {
            url: settings.url(),
            env: settings.env.clone(),
            health,
        };
        let queries = QueryClient::start(&settings, context.for_client(), explainer.clone())?;
        let mut backoff = Backoff::new(settings.queue_timeout);
        let there = loop {
            match queries.topics_blocking() {
                Ok(there) => break there,
                Err(why) => std::thread::sleep(backoff.pause_after(&why).ok_or(why)?),
            }
        };
        let partitions = there.get(&Topic::Send).copied();
        Ok(Rc::new(KafkaQueue {
            partitions: Cell::new(partitions.unwrap_or(settings.partitions.max(1))),
            fetcher: Fetcher::new(
                &settings,
                context.for_client(),
                explainer.clone(),
                queries.clone(),
            ),
            settings,
            context,
            explainer,
            queries,
            appender: OnceCell::new(),
            topics: OnceCell::new(),
        }))
    }

    /// The consumer group's name, such as `prod.mail`.
    pub fn group(&self) -> String {
        self.settings.group()
    }

    fn appender(&self) -> Result<Arc<Appender>, QueueError> {
        if let Some(appender) = self.appender.get() {
            return Ok(Arc::clone(appender));
        }
        let (context, explainer) = (self.context.for_client(), self.explainer.clone());
        let appender = Arc::new(Appender::start(&self.settings, context, explainer)?);
        Ok(Arc::clone(self.appender.get_or_init(|| appender)))
    }

    fn admin(&self) -> Result<&TopicAdmin, QueueError> {
        if let Some(topics) = self.topics.get() {
            return Ok(topics);
        }
        let (context, explainer) = (self.context.for_client(), self.explainer.clone());
        let topics = TopicAdmin::start(&self.settings, context, explainer, self.queries.clone())?;
        Ok(self.topics.get_or_init(|| topics))
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
        with_backoff(self.settings.queue_timeout, async || {
            admin.create(topics).await
        })
        .await?;
        self.topics().await.map(drop)
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        let there = with_backoff(self.settings.queue_timeout, async || {
            self.queries.topics().await
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
        let place = with_backoff(self.settings.queue_timeout, async || {
            self.queries.locate(at).await
        })
        .await?;
        let appender = self.appender()?;
        match appender.append(at, place, &records).await? {
            Appended::At(offsets) => Ok(offsets),
            Appended::From(from) => {
                let found = with_backoff(self.settings.queue_timeout, async || {
                    self.fetcher.find(at, from, &records).await
                });
                let found = found.await.unwrap_or_else(|error| {
                    tracing::warn!(%at, %error, "acknowledged records cannot be looked for");
                    None
                });
                let found = found.ok_or_else(|| appender.lost_track(at))?;
                appender.found(at, &found);
                Ok(found)
            }
        }
    }

    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        // A process that only reads must see a fatal error of its producer or its membership too.
        self.explainer.check_usable()?;
        with_backoff(self.settings.queue_timeout, async || {
            self.fetcher.fetch(at, from, max_bytes).await
        })
        .await
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        with_backoff(self.settings.queue_timeout, async || {
            self.queries.bounds(at).await
        })
        .await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        with_backoff(self.settings.queue_timeout, async || {
            self.queries.committed(at.to_vec()).await
        })
        .await
    }

    fn commits_expire(&self) -> bool {
        true
    }

    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError> {
        let place = self.queries.locate(at).await?;
        self.admin()?.drop_below(at, place, offset).await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        let topics = self.topics().await?;
        // If the right to join is missing, this request fails. A member without it would wait for partitions without end.
        self.committed(&[TopicPartition::new(Topic::Send, 0)])
            .await?;
        let members = async || self.members().await;
        dead_members::wait(members, self.settings.session(), name).await?;
        let appender = self.appender()?;
        let setup = MemberSetup {
            name,
            settings: &self.settings,
            context: self.context.for_client(),
            queries: self.queries.clone(),
            explainer: self.explainer.clone(),
            topics: topics.into_iter().filter(Topic::is_owned).collect(),
            flush: Arc::new(move |longest| appender.flush(longest)),
        };
        Ok(Rc::new(KafkaMembership::start(setup)?))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        with_backoff(self.settings.queue_timeout, async || {
            self.queries.members().await
        })
        .await
    }

    fn metrics(&self) -> Vec<Metric> {
        self.context.statistics.metrics()
    }
}
