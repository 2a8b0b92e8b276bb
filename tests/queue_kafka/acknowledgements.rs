//! What does an append answer when librdkafka reports records as delivered and does not know where? Brokers that do
//! what they are told, by librdkafka's own mock cluster: an answer for each of the next produce requests.

use super::open;
use crate::queue_contract::*;
use mailq::queue::Queue;
use mailq::queue::QueueError;
use mailq::queue::kafka::KafkaSettings;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::rc::Rc;
use std::time::Duration;

const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;
const NO_LOG_YET: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
/// "I have this batch already." The offset that comes with it is -1.
const DUPLICATE: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;

/// What is appended at once is one batch.
const ONE_BATCH: (&str, &str) = ("linger.ms", "100");
/// Batches of three records follow each other.
const SMALL_BATCHES: (&str, &str) = ("batch.num.messages", "3");

type Mock = MockCluster<'static, DefaultProducerContext>;

/// A broker that answers after a moment, so that requests follow each other, with every topic.
fn mock() -> Mock {
    let mock = MockCluster::new(1).unwrap();
    for topic in topics() {
        let count = i32::try_from(topic.partitions(PARTITIONS)).unwrap();
        mock.create_topic(&topic.name("test"), count, 1).unwrap();
    }
    mock.broker_round_trip_time(1, Duration::from_millis(50))
        .unwrap();
    mock
}

fn open_on(mock: &Mock, (name, value): (&str, &str)) -> Rc<dyn Queue> {
    open(&KafkaSettings {
        brokers: mock.bootstrap_servers(),
        env: "test".to_owned(),
        role: "test".to_owned(),
        queue_timeout: Some(PATIENCE),
        properties: [(name.to_owned(), value.to_owned())].into(),
        ..KafkaSettings::default()
    })
}

fn with_queue(property: (&str, &str), test: impl AsyncFnOnce(&Mock, Rc<dyn Queue>)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    let mock = mock();
    runtime.block_on(test(&mock, open_on(&mock, property)));
}

/// Such a broker refuses the first batch of a producer and accepts the second, and librdkafka reports both as delivered.
#[test]
fn a_partition_whose_log_is_not_open_yet_loses_no_record() {
    with_queue(SMALL_BATCHES, async |mock, queue| {
        mock.request_errors(PRODUCE, &[NO_LOG_YET]);
        let appended = queue.append(SEND_0, numbered(0..7)).await;
        let stored = read_all(&queue, SEND_0, 0).await;
        assert_eq!(records(&stored), numbered(0..7));
        assert_eq!(appended, Ok(offsets(&stored)));
    });
}

/// Of such a batch librdkafka says that its records stand at -1, 0, 1 and so on.
#[test]
fn a_batch_that_the_broker_has_already_is_found_in_the_log() {
    with_queue(ONE_BATCH, async |mock, queue| {
        queue.append(SEND_0, numbered(0..1)).await.unwrap();
        let written = open_on(mock, ONE_BATCH)
            .append(SEND_0, numbered(1..9))
            .await
            .unwrap();
        mock.request_errors(PRODUCE, &[DUPLICATE]);
        assert_eq!(queue.append(SEND_0, numbered(1..9)).await, Ok(written));
        let stored = read_all(&queue, SEND_0, 0).await;
        assert_eq!(records(&stored), numbered(0..9));
        assert_eq!(queue.append(SEND_0, numbered(9..11)).await, Ok(vec![9, 10]));
    });
}

#[test]
fn an_acknowledged_batch_that_is_nowhere_is_not_known_to_be_there() {
    with_queue(ONE_BATCH, async |mock, queue| {
        for offset in [0, 1] {
            mock.request_errors(PRODUCE, &[DUPLICATE]);
            let nowhere = queue.append(SEND_0, numbered(0..1)).await;
            assert!(
                matches!(nowhere, Err(QueueError::Unknown(_))),
                "{nowhere:?}"
            );
            assert_eq!(queue.append(SEND_0, numbered(0..1)).await, Ok(vec![offset]));
        }
    });
}
