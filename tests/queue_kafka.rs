//! The queue on Kafka beyond the contract: settings, unknown results, and throughput.

mod acknowledgements;
mod working;

use crate::queue_contract::*;
use mailq::domain::topic::{INITIAL_COMMIT, TopicPartition};
use mailq::queue::kafka::{KafkaQueue, KafkaSettings};
use mailq::queue::{Commit, CommitOutcome, Committed, Queue, QueueError};
use mailq_testkit::kafka::{self, NEWEST};
use std::rc::Rc;
use std::time::Duration;

/// Settings for a new environment on the shared broker of a version, so that one broker serves all tests. `None`: there
/// can be no broker here; the reason was printed.
pub fn settings(version: &'static str) -> Option<KafkaSettings> {
    settings_at(|| kafka::shared(version).brokers())
}

pub fn settings_at(brokers: impl FnOnce() -> String) -> Option<KafkaSettings> {
    if let Some(why) = kafka::missing() {
        println!("skipped: {why}");
        return None;
    }
    Some(KafkaSettings {
        brokers: brokers(),
        env: format!("t{:016x}", fastrand::u64(..)),
        partitions: crate::queue_contract::PARTITIONS,
        replication: 3,
        role: "test".to_string(),
        queue_timeout: Some(PATIENCE),
        ..KafkaSettings::default()
    })
}

pub fn open(settings: &KafkaSettings) -> Rc<dyn Queue> {
    KafkaQueue::open(settings.clone()).unwrap()
}

/// Runs a test on a queue of its own that has all topics.
fn with_queue(test: impl AsyncFnOnce(Rc<dyn Queue>, KafkaSettings)) {
    if let Some(settings) = settings(NEWEST) {
        with_settings(settings, test);
    }
}

fn with_settings(settings: KafkaSettings, test: impl AsyncFnOnce(Rc<dyn Queue>, KafkaSettings)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(async {
        let queue = open(&settings);
        queue.create_topics(&topics()).await.unwrap();
        test(queue, settings).await;
    });
}

fn with(settings: KafkaSettings, name: &str, value: &str) -> KafkaSettings {
    let mut settings = settings;
    settings
        .properties
        .insert(name.to_owned(), value.to_owned());
    settings
}

#[test]
fn a_locked_property_is_refused_before_the_cluster_is_asked() {
    let settings = KafkaSettings {
        brokers: "127.0.0.1:1".to_owned(),
        ..with(KafkaSettings::default(), "acks", "1")
    };
    let refused = KafkaQueue::open(settings).err().unwrap();
    assert!(matches!(&refused, QueueError::Setting { name, .. } if name == "acks"));
}

#[test]
fn a_cluster_that_is_away_is_named() {
    let settings = KafkaSettings {
        brokers: "127.0.0.1:1".to_owned(),
        env: "test".to_owned(),
        queue_timeout: Some(Duration::from_secs(1)),
        ..KafkaSettings::default()
    };
    let away = KafkaQueue::open(settings).err().unwrap();
    assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
    assert!(away.to_string().contains("kafka://127.0.0.1:1"), "{away}");
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_named() {
    let settings = KafkaSettings {
        brokers: "127.0.0.1:1".to_owned(),
        ..with(KafkaSettings::default(), "no.such.thing", "secret")
    };
    let refused = KafkaQueue::open(settings).err().unwrap();
    assert!(matches!(&refused, QueueError::Setting { name, .. } if name == "no.such.thing"));
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[test]
fn initial_texts_are_committed_once() {
    with_queue(async |queue, _| {
        let owned = owned_partitions();
        let initial = Committed {
            offset: 0,
            text: INITIAL_COMMIT.to_owned(),
        };
        let first = queue.committed(&owned).await.unwrap();
        assert!(first.iter().all(|c| c.as_ref() == Some(&initial)));
        let mut owner = Owner::join(&queue, "only").await;
        owner.own(owned.len()).await;
        let token = owner.owned[&SEND_0];
        let commit = one_commit(token, "mine");
        assert_eq!(owner.member.commit(commit).await, [CommitOutcome::Done]);
        owner.member.leave().await;
        queue.create_topics(&topics()).await.unwrap();
        let after = queue.committed(&[SEND_0]).await.unwrap().remove(0);
        assert_eq!(after.map(|c| c.text).as_deref(), Some("mine"));
    });
}

fn one_commit(token: u64, text: &str) -> Vec<Commit> {
    vec![Commit {
        at: SEND_0,
        token,
        offset: 0,
        text: text.to_owned(),
    }]
}

/// The broker stands still for longer than a commit waits. The group is left and joined again, and because nobody else
/// has committed meanwhile, the worker goes on as before.
#[test]
fn a_commit_without_an_answer_is_sent_again_after_a_rejoin() {
    let Some(settings) = settings(NEWEST) else {
        return;
    };
    let cluster = kafka::Cluster::start(1, &kafka::Options::default());
    let settings = KafkaSettings {
        brokers: cluster.brokers(),
        ..with(settings, "socket.timeout.ms", "3000")
    };
    with_settings(settings, async |queue, _| {
        let all = owned_partitions().len();
        let mut owner = Owner::join(&queue, "only").await;
        owner.own(all).await;
        let token = owner.owned[&SEND_0];
        let mine = one_commit(token, "mine");
        assert_eq!(owner.member.commit(mine).await, [CommitOutcome::Done]);
        cluster.pause(1);
        let waking = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            cluster.cont(1);
        };
        let next = owner.member.commit(one_commit(token, "next"));
        let (outcomes, ()) = futures_util::future::join(next, waking).await;
        assert_eq!(outcomes, [CommitOutcome::Done]);
        let stands = queue.committed(&[SEND_0]).await.unwrap().remove(0);
        assert_eq!(stands.map(|c| c.text).as_deref(), Some("next"));
        let last = owner.member.commit(one_commit(token, "last")).await;
        assert_eq!(last, [CommitOutcome::Done]);
        // It loses the partitions that it had not committed, and gains them again.
        owner.own(1).await;
        owner.own(all).await;
        assert_eq!(owner.owned[&SEND_0], token);
        owner.member.leave().await;
    });
}

/// After any failure of a commit the group is joined again.
#[test]
fn after_an_unknown_result_everything_is_gained_again() {
    with_queue(async |queue, _| {
        let all = owned_partitions().len();
        let mut owner = Owner::join(&queue, "only").await;
        owner.own(all).await;
        let token = owner.owned[&SEND_0];
        let mine = one_commit(token, "mine");
        assert_eq!(owner.member.commit(mine).await, [CommitOutcome::Done]);
        // Longer than a broker accepts: its answer does not say what was written.
        let long = "x".repeat(5_000);
        let outcomes = owner.member.commit(one_commit(token, &long)).await;
        assert!(matches!(outcomes[..], [CommitOutcome::Unknown(_)]));
        let late = owner.member.commit(one_commit(token, "late")).await;
        assert_eq!(late, [CommitOutcome::Refused]);
        // The outcome says that this partition is lost; changes say it of the others.
        owner.owned.remove(&SEND_0);
        owner.own(0).await;
        owner.own(all).await;
        assert!(owner.owned[&SEND_0] > token);
        let stands = queue.committed(&[SEND_0]).await.unwrap().remove(0);
        assert_eq!(stands.map(|c| c.text).as_deref(), Some("mine"));
        let new = one_commit(owner.owned[&SEND_0], "new");
        assert_eq!(owner.member.commit(new).await, [CommitOutcome::Done]);
        owner.member.leave().await;
    });
}

/// The broker fences the first of two members with one instance id, which is a fatal error of its client.
#[test]
fn a_fatal_error_ends_ownership_and_everything_else() {
    let Some(settings) = settings(NEWEST) else {
        return;
    };
    let settings = KafkaSettings {
        instance_id: Some("twin".to_owned()),
        ..settings
    };
    with_settings(settings, async |queue, settings| {
        let all = owned_partitions().len();
        let mut first = Owner::join(&queue, "first").await;
        first.own(all).await;
        let token = first.owned[&SEND_0];
        let other = open(&settings);
        let mut second = Owner::join(&other, "second").await;
        futures_util::future::join(first.own(0), second.own(all)).await;
        let late = first.member.commit(one_commit(token, "late")).await;
        assert_eq!(late, [CommitOutcome::Refused]);
        let fetched = queue.fetch(CAMPAIGN, 0, 1).await;
        assert!(
            matches!(fetched, Err(QueueError::Broken { .. })),
            "{fetched:?}"
        );
        let appended = queue.append(CAMPAIGN, numbered(0..1)).await;
        assert!(
            matches!(appended, Err(QueueError::Broken { .. })),
            "{appended:?}"
        );
        first.member.leave().await;
        assert_eq!(other.fetch(CAMPAIGN, 0, 1).await, Ok(Vec::new()));
        let commit = one_commit(second.owned[&SEND_0], "new");
        assert_eq!(second.member.commit(commit).await, [CommitOutcome::Done]);
        second.member.leave().await;
    });
}

#[test]
fn the_newer_group_protocol_assigns_partitions() {
    let Some(settings) = settings(NEWEST) else {
        return;
    };
    let settings = KafkaSettings {
        properties: [("group.protocol".to_owned(), "consumer".to_owned())].into(),
        ..settings
    };
    with_settings(settings, async |queue, settings| {
        let all = owned_partitions().len();
        let mut first = Owner::join(&queue, "first").await;
        first.own(all).await;
        let other = open(&settings);
        let mut second = Owner::join(&other, "second").await;
        futures_util::future::join(first.own(all / 2), second.own(all / 2)).await;
        let (at, token) = second.owned.iter().next().unwrap();
        let commit = Commit {
            at: *at,
            token: *token,
            offset: 3,
            text: "second".to_owned(),
        };
        let outcomes = second.member.commit(vec![commit]).await;
        assert_eq!(outcomes, [CommitOutcome::Done]);
        second.member.leave().await;
        first.own(all).await;
        first.member.leave().await;
    });
}

/// Anybody may write to a topic. A record that is not UTF-8 is an error, and the records before it are read.
#[test]
fn an_unreadable_record_is_an_error() {
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{FutureProducer, FutureRecord};
    with_queue(async |queue, settings| {
        let good = queue.append(SEND_0, numbered(0..2)).await.unwrap();
        let producer: FutureProducer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &settings.brokers)
            .create()
            .unwrap();
        let topic = SEND_0.topic.name(&settings.env);
        let headers = OwnedHeaders::new().insert(Header {
            key: "source",
            value: Some(&[0xff, 0xfe]),
        });
        for (key, headers) in [(vec![0xff], None), (vec![b'k'], Some(headers))] {
            let mut record = FutureRecord::to(&topic).partition(0).key(&key).payload("x");
            record.headers = headers;
            producer.send(record, PATIENCE).await.unwrap();
        }
        queue.append(SEND_0, numbered(2..3)).await.unwrap();
        let before = queue.fetch(SEND_0, good[0], ALL_BYTES).await.unwrap();
        assert_eq!(records(&before), numbered(0..2));
        for offset in [2, 3, 2] {
            let bad = queue.fetch(SEND_0, offset, 1).await;
            assert!(matches!(bad, Err(QueueError::BadRecord { offset: o, .. }) if o == offset));
        }
        let after = queue.fetch(SEND_0, 4, 1).await.unwrap();
        assert_eq!(records(&after), numbered(2..3));
    });
}

/// Several cursors in several partitions, each of which jumps now and then, read their logs in order.
#[test]
fn many_cursors_read_their_logs() {
    with_queue(async |queue, _| {
        let places: Vec<TopicPartition> = owned_partitions().into_iter().take(3).collect();
        for at in &places {
            for start in 0..4 {
                let numbers = start * 50..start * 50 + 50;
                queue.append(*at, numbered(numbers)).await.unwrap();
            }
        }
        let mut cursors: Vec<(TopicPartition, u64)> = Vec::new();
        for (at, start) in places.iter().flat_map(|at| [(at, 0), (at, 70), (at, 140)]) {
            cursors.push((*at, start));
        }
        for step in 0..400u64 {
            let count = cursors.len() as u64;
            let (at, offset) = &mut cursors[(fastrand::u64(..count)) as usize];
            if step % 37 == 0 {
                *offset = fastrand::u64(..200);
            }
            let max_bytes = if step % 5 == 0 { 3_000 } else { 1 };
            let found = queue.fetch(*at, *offset, max_bytes).await.unwrap();
            if *offset == 200 {
                assert_eq!(found, []);
                *offset = 0;
                continue;
            }
            let expected = *offset..*offset + found.len() as u64;
            assert_eq!(
                offsets(&found),
                expected.clone().collect::<Vec<_>>(),
                "{at}"
            );
            let numbers = expected.start as u32..expected.end as u32;
            assert_eq!(records(&found), numbered(numbers));
            *offset = expected.end;
        }
    });
}

/// Prints figures: `cargo test --features kafka reading_at_speed -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn reading_at_speed() {
    with_queue(async |queue, _| {
        let chunk = || record("chunk", &vec![0x5a; 100_000]);
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            let some = (0..10).map(|_| chunk()).collect();
            queue.append(SEND_0, some).await.unwrap();
        }
        print_rate("appended, ten at a time", 1_000, begun);
        let begun = std::time::Instant::now();
        for offset in 0..1_000 {
            assert_eq!(
                offsets(&queue.fetch(SEND_0, offset, 1).await.unwrap()),
                [offset]
            );
        }
        print_rate("read one after the other", 1_000, begun);
        let begun = std::time::Instant::now();
        for step in 0..200 {
            for offset in [step, 500 + step] {
                assert_eq!(
                    offsets(&queue.fetch(SEND_0, offset, 1).await.unwrap()),
                    [offset]
                );
            }
        }
        print_rate("read by two cursors in turn", 400, begun);
        let begun = std::time::Instant::now();
        for step in 0..100u64 {
            let offset = (step * 331) % 1_000;
            assert_eq!(
                offsets(&queue.fetch(SEND_0, offset, 1).await.unwrap()),
                [offset]
            );
        }
        print_rate("read anywhere", 100, begun);
        let begun = std::time::Instant::now();
        for _ in 0..500 {
            assert_eq!(queue.fetch(SEND_0, 1_000, 1).await.unwrap(), []);
        }
        print_rate("found nothing new at the end", 500, begun);
        let begun = std::time::Instant::now();
        for n in 0..100 {
            let offset = queue.append(CAMPAIGN, numbered(n..n + 1)).await.unwrap()[0];
            assert_eq!(queue.fetch(CAMPAIGN, offset, 1).await.unwrap().len(), 1);
        }
        print_rate("appended and read at the end", 100, begun);
        let mut owner = Owner::join(&queue, "only").await;
        owner.own(owned_partitions().len()).await;
        let begun = std::time::Instant::now();
        for _ in 0..500 {
            let commit = one_commit(owner.owned[&SEND_0], &"x".repeat(400));
            assert_eq!(owner.member.commit(commit).await, [CommitOutcome::Done]);
        }
        print_rate("committed", 500, begun);
        owner.member.leave().await;
    });
}

fn print_rate(what: &str, count: u32, begun: std::time::Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s", f64::from(count) / seconds);
}
