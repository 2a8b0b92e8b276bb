//! Opens a queue on Kafka and checks its project key. Without the feature `kafka` it only reports that.

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

/// Connects. Errors: a refused property, a secret that cannot be read, errors of the cluster.
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
    .with_hint("build it without `--no-default-features`, or use the embedded queue"))
}

/// Waits for the clients of this process to close. Call it before the process ends.
#[cfg(feature = "kafka")]
pub fn close() {
    crate::queue::kafka::wait_until_closed(std::time::Duration::from_secs(3));
}

#[cfg(not(feature = "kafka"))]
pub fn close() {}

/// The project key. Errors: the queue was created with another key.
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

/// As `key`, for `topics init`: if the queue has no key yet, creates one and records its fingerprint in the queue.
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
            // If two hosts create a key at the same time, the first record in the log counts.
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
