//! A queue on Kafka: how it is opened, and which key it belongs to. Without the feature there is none.

use super::connect_options::ConnectOptions;
use super::host::host_name;
use super::{runtime, topics};
use crate::commands::Failure;
use crate::config::{Loaded, QueueUrl, load_or_create_key};
use crate::domain::project_key::ProjectKey;
use crate::domain::records::{CampaignRecord, KeyInForce};
use crate::engine::account::{AccountError, read_ledger};
use crate::engine::read_model::campaign_topic::announce;
use crate::queue::{Queue, QueueError};
use std::rc::Rc;

/// Connects. Errors: a property that is refused, the cluster's, a secret that cannot be fetched.
#[cfg(feature = "kafka")]
pub fn open(loaded: &Loaded, connect_options: &ConnectOptions) -> Result<Rc<dyn Queue>, Failure> {
    use crate::queue::kafka::{KafkaQueue, KafkaSettings};
    let settings = &loaded.settings;
    let QueueUrl::Kafka(brokers) = &settings.queue else {
        return Err(Failure::usage(format!(
            "`{}` is not a Kafka cluster",
            settings.queue
        )));
    };
    let queue = KafkaQueue::open(KafkaSettings {
        brokers: brokers.clone(),
        env: settings.env.clone(),
        partitions: settings.kafka.keys.partitions,
        replication: settings.kafka.keys.replication,
        properties: settings.kafka.properties(&loaded.variables)?,
        role: connect_options.role.to_string(),
        instance_id: connect_options.instance_id.clone(),
        queue_timeout: connect_options.queue_timeout,
        token_command: settings.kafka.keys.token_command.clone(),
    })?;
    Ok(queue)
}

#[cfg(not(feature = "kafka"))]
pub fn open(loaded: &Loaded, _: &ConnectOptions) -> Result<Rc<dyn Queue>, Failure> {
    let url: &QueueUrl = &loaded.settings.queue;
    Err(Failure::usage(format!(
        "`{url}`: this build of mailq does not support Kafka; nothing was done"
    ))
    .with_hint("build it with `cargo build --release --features kafka`, or use the embedded queue"))
}

/// Before the process ends: lets what a command has connected end in peace.
#[cfg(feature = "kafka")]
pub fn close() {
    crate::queue::kafka::wait_until_closed(std::time::Duration::from_secs(3));
}

#[cfg(not(feature = "kafka"))]
pub fn close() {}

/// The project's key, which must be the one that the queue belongs to.
pub fn key(loaded: &Loaded, queue: &dyn Queue) -> Result<ProjectKey, Failure> {
    let env = &loaded.settings.env;
    let known = runtime::block_on(async {
        fingerprint(queue).await.map_err(|error| match error {
            AccountError::Queue(QueueError::NoTopic(topic)) => topics::missing(topic, env, queue),
            other => other.into(),
        })
    })?;
    let key = load_or_create_key(&loaded.settings.key_file, false)?;
    match known {
        Some(known) => check(queue, &key, known).map(|()| key),
        None => Ok(key),
    }
}

/// As `key`, for `topics init`: makes one where the queue belongs to none yet, and says so in the queue.
pub async fn claim(loaded: &Loaded, queue: &dyn Queue) -> Result<ProjectKey, Failure> {
    let known = fingerprint(queue).await?;
    let key = load_or_create_key(&loaded.settings.key_file, known.is_none())?;
    let known = match known {
        Some(known) => known,
        None => {
            let record = CampaignRecord::Key(KeyInForce {
                fingerprint: key.fingerprint().to_string(),
                draw: fastrand::u64(..),
                host: host_name(),
                made_at: jiff::Timestamp::now().to_string(),
            });
            announce(queue, &[record]).await?;
            // Of two hosts that made one at the same time, the first in the log counts.
            fingerprint(queue)
                .await?
                .unwrap_or_else(|| key.fingerprint().to_string())
        }
    };
    check(queue, &key, known).map(|()| key)
}

async fn fingerprint(queue: &dyn Queue) -> Result<Option<String>, AccountError> {
    let ledger = read_ledger(queue, false).await?;
    Ok(ledger.key_fingerprint().map(str::to_string))
}

fn check(queue: &dyn Queue, key: &ProjectKey, known: String) -> Result<(), Failure> {
    if known == key.fingerprint() {
        return Ok(());
    }
    Err(QueueError::OtherKey {
        path: queue.url(),
        found: known,
        expected: key.fingerprint().to_string(),
    }
    .into())
}
