//! What each fault does, and that a seed repeats everything exactly.

use super::*;
use bytes::Bytes;
use mailq::domain::ids::Offset;
use mailq::queue::{
    Commit, CommitOutcome, Membership, Ownership, Queue, QueueError, Record, Token,
};

const LEASE: Duration = Duration::from_secs(15);
const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);
const EVENT: TopicPartition = TopicPartition::new(Topic::Event, 0);

fn record(text: &str) -> Record {
    Record {
        payload: Some(Bytes::copy_from_slice(text.as_bytes())),
        ..Record::default()
    }
}

fn texts(log: &MemoryLog, topic: Topic) -> Vec<String> {
    let payload = |stored: Stored| stored.record.payload.unwrap_or_default().to_vec();
    let records = log.all_appended(topic).into_iter();
    records
        .map(|(_, stored)| String::from_utf8(payload(stored)).unwrap())
        .collect()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn log_with_topics(seed: u64, faults: Faults) -> (MemoryLog, MemoryQueue) {
    log_with_lease(seed, faults, LEASE).await
}

async fn log_with_lease(seed: u64, faults: Faults, lease: Duration) -> (MemoryLog, MemoryQueue) {
    let log = MemoryLog::new(seed, 1, lease, faults);
    let queue = log.start_process();
    let topics = [Topic::Send, Topic::Event, Topic::Campaign];
    queue.create_topics(&topics).await.unwrap();
    (log, queue)
}

async fn gain(member: &Rc<dyn Membership>) -> Token {
    match member.changed().await {
        Ownership::Gained { at, token } if at == SEND => token,
        other => panic!("{other:?}"),
    }
}

async fn commit(member: &Rc<dyn Membership>, token: Token, text: &str) -> CommitOutcome {
    let commit = Commit {
        at: SEND,
        token,
        offset: 0,
        text: text.to_owned(),
    };
    member.commit(vec![commit]).await.remove(0)
}

fn committed_text(log: &MemoryLog) -> Option<String> {
    log.commits().remove(&SEND).map(|c| c.text)
}

#[tokio::test(start_paused = true)]
async fn lands_a_record_whose_acknowledgement_is_lost() {
    let faults = Faults {
        unacknowledged: 1.0,
        ..Faults::none()
    };
    let (log, queue) = log_with_topics(1, faults).await;
    let answer = queue.append(EVENT, vec![record("a")]).await;
    assert!(matches!(answer, Err(QueueError::Unknown(_))));
    assert_eq!(texts(&log, Topic::Event), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn lands_a_late_record_before_the_next_one() {
    let faults = Faults {
        late: 1.0,
        late_by: Duration::from_secs(10),
        ..Faults::none()
    };
    let (log, queue) = log_with_topics(2, faults).await;
    let answer = queue.append(EVENT, vec![record("a")]).await;
    assert!(matches!(answer, Err(QueueError::Unknown(_))));
    assert!(texts(&log, Topic::Event).is_empty());
    log.set_faults(Faults::none());
    assert_eq!(queue.append(EVENT, vec![record("b")]).await, Ok(vec![1]));
    assert_eq!(texts(&log, Topic::Event), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn never_lands_a_lost_record() {
    let faults = Faults {
        lost: 1.0,
        ..Faults::none()
    };
    let (log, queue) = log_with_topics(3, faults).await;
    let answer = queue.append(EVENT, vec![record("a")]).await;
    assert!(matches!(answer, Err(QueueError::Unknown(_))));
    pass(60).await;
    assert!(texts(&log, Topic::Event).is_empty());
}

/// Kills a process with ten records in flight, ten times. How many landed each time.
async fn landed_after_kill(lost_after_kill: f64) -> Vec<usize> {
    let mut landed = Vec::new();
    for seed in 0..10 {
        let faults = Faults {
            lost_after_kill,
            ..Faults::none()
        };
        let (log, queue) = log_with_topics(seed, faults).await;
        let records = (0..10).map(|n| record(&n.to_string())).collect();
        let sending = queue.append(EVENT, records);
        let cut_off = tokio::time::timeout(Duration::ZERO, sending).await;
        assert!(cut_off.is_err());
        drop(queue);
        pass(1).await;
        let texts = texts(&log, Topic::Event);
        let in_order: Vec<String> = (0..texts.len()).map(|n| n.to_string()).collect();
        assert_eq!(texts, in_order);
        landed.push(texts.len());
    }
    landed
}

#[tokio::test(start_paused = true)]
async fn lands_records_of_a_killed_process_in_order_up_to_the_first_lost() {
    assert_eq!(landed_after_kill(0.0).await, [10; 10]);
    assert_eq!(landed_after_kill(1.0).await, [0; 10]);
    let some = landed_after_kill(0.3).await;
    assert!(some.iter().any(|count| (1..10).contains(count)), "{some:?}");
}

#[tokio::test(start_paused = true)]
async fn revokes_partitions_of_a_stopped_process_after_its_lease() {
    let (log, one) = log_with_topics(5, Faults::none()).await;
    let two = log.start_process();
    let first = one.join("first").await.unwrap();
    let old = gain(&first).await;
    let second = two.join("second").await.unwrap();
    log.set_running(one.process_id(), false);
    pass(LEASE.as_secs() - 1).await;
    assert_eq!(one.members().await.unwrap().len(), 2);
    pass(2).await;
    assert_eq!(one.members().await.unwrap().len(), 1);
    let new = gain(&second).await;
    assert_ne!(old, new);
    log.set_running(one.process_id(), true);
    assert_eq!(commit(&second, new, "new").await, CommitOutcome::Done);
    assert_eq!(commit(&first, old, "old").await, CommitOutcome::Refused);
    assert_eq!(committed_text(&log).as_deref(), Some("new"));
    let lost = Ownership::Lost {
        at: SEND,
        token: old,
    };
    assert_eq!(first.changed().await, lost);
}

#[tokio::test(start_paused = true)]
async fn frees_partitions_of_an_abandoned_member_after_its_lease() {
    let (log, queue) = log_with_topics(11, Faults::none()).await;
    let other = log.start_process();
    let mut waiting = std::pin::pin!(queue.join("gone"));
    while queue.members().await.unwrap().is_empty() {
        assert!(futures_util::poll!(&mut waiting).is_pending());
    }
    let given_up_at = log.clock().since_boot();
    waiting.set(queue.join("never"));
    let member = other.join("other").await.unwrap();
    gain(&member).await;
    assert!(log.clock().since_boot() >= given_up_at + LEASE);
}

#[tokio::test(start_paused = true)]
async fn keeps_partitions_of_a_process_that_wakes_within_its_lease() {
    let (log, queue) = log_with_topics(6, Faults::none()).await;
    let member = queue.join("only").await.unwrap();
    let token = gain(&member).await;
    for _ in 0..3 {
        log.set_running(queue.process_id(), false);
        pass(LEASE.as_secs() - 1).await;
        log.set_running(queue.process_id(), true);
    }
    assert_eq!(commit(&member, token, "kept").await, CommitOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn writes_a_late_commit_only_while_its_owner_still_owns() {
    let faults = Faults {
        late: 1.0,
        late_by: Duration::from_secs(10),
        ..Faults::none()
    };
    let (mut done, mut void) = (0, 0);
    for seed in 0..20 {
        let (log, queue) = log_with_topics(seed, faults.clone()).await;
        let member = queue.join("only").await.unwrap();
        let token = gain(&member).await;
        let outcome = commit(&member, token, "late").await;
        assert!(matches!(outcome, CommitOutcome::Unknown(_)));
        assert_eq!(committed_text(&log), None);
        // The partition is revoked and assigned anew, which voids commits in flight.
        assert!(matches!(member.changed().await, Ownership::Lost { .. }));
        let text_at_loss = committed_text(&log);
        gain(&member).await;
        pass(20).await;
        assert_eq!(committed_text(&log), text_at_loss);
        match text_at_loss {
            Some(_) => done += 1,
            None => void += 1,
        }
    }
    assert!(done > 0 && void > 0, "{done} done, {void} void");
}

/// Stops a process with a commit in flight for longer than its lease. What is committed in the end.
async fn committed_by_the_stopped(seed: u64, is_ticked: bool) -> Option<String> {
    let lease = Duration::from_secs(1);
    let (log, queue) = log_with_lease(seed, Faults::none(), lease).await;
    let member = queue.join("only").await.unwrap();
    let token = gain(&member).await;
    log.set_faults(Faults {
        slow: 1.0,
        ..Faults::none()
    });
    let mut sending = std::pin::pin!(commit(&member, token, "sent"));
    assert!(futures_util::poll!(&mut sending).is_pending());
    log.set_running(queue.process_id(), false);
    for _ in 0..3_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if is_ticked {
            log.tick();
        }
    }
    committed_text(&log)
}

#[tokio::test(start_paused = true)]
async fn does_not_depend_on_when_the_state_is_read() {
    let (mut done, mut void) = (0, 0);
    for seed in 0..20 {
        let committed = committed_by_the_stopped(seed, false).await;
        assert_eq!(committed, committed_by_the_stopped(seed, true).await);
        match committed {
            Some(_) => done += 1,
            None => void += 1,
        }
    }
    assert!(done > 0 && void > 0, "{done} done, {void} void");
}

#[tokio::test(start_paused = true)]
async fn revokes_what_is_not_released_when_asked() {
    let faults = Faults {
        rebalances_per_second: f64::MIN_POSITIVE,
        ..Faults::none()
    };
    let (log, queue) = log_with_topics(8, faults).await;
    let member = queue.join("only").await.unwrap();
    let token = gain(&member).await;
    log.rebalance_randomly();
    let losing = Ownership::Losing { at: SEND, token };
    assert_eq!(member.changed().await, losing);
    assert_eq!(commit(&member, token, "drained").await, CommitOutcome::Done);
    let lost = Ownership::Lost { at: SEND, token };
    assert_eq!(member.changed().await, lost);
    assert!(log.clock().since_boot() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn refuses_commit_texts_that_kafka_refuses() {
    let (log, queue) = log_with_topics(9, Faults::none()).await;
    let member = queue.join("only").await.unwrap();
    for text in ["é".to_owned(), "x".repeat(3_501)] {
        let token = gain(&member).await;
        let outcome = commit(&member, token, &text).await;
        assert!(matches!(outcome, CommitOutcome::Unknown(_)));
        assert!(matches!(member.changed().await, Ownership::Lost { .. }));
    }
    assert_eq!(committed_text(&log), None);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_record_that_kafka_refuses() {
    let (_log, queue) = log_with_topics(10, Faults::none()).await;
    let huge = record(&"x".repeat(1_048_589));
    let answer = queue.append(EVENT, vec![huge]).await;
    assert!(matches!(answer, Err(QueueError::TooLarge { .. })));
}

/// Two members and a writer among all faults for two minutes. Everything that could differ between two runs.
async fn history(seed: u64) -> String {
    let (log, queue) = log_with_topics(seed, Faults::kafka()).await;
    let other = log.start_process();
    let members = [
        queue.join("one").await.unwrap(),
        other.join("two").await.unwrap(),
    ];
    let mut seen = Vec::new();
    for round in 0..300 {
        log.tick();
        let notice = futures_util::future::select_all(members.iter().map(|m| m.changed()));
        let notice = tokio::time::timeout(Duration::from_millis(300), notice).await;
        if let Ok((Ownership::Gained { at, token } | Ownership::Losing { at, token }, who, _)) =
            notice
        {
            seen.push(format!("{who} {at} {token}"));
            let outcome = commit(&members[who], token, &format!("{round}")).await;
            seen.push(format!("{outcome:?}"));
        }
        let appended = queue.append(EVENT, vec![record(&round.to_string())]).await;
        seen.push(format!("{appended:?} {:?}", log.clock().since_boot()));
    }
    log.set_faults(Faults::none());
    pass(60).await;
    let last: Vec<(Offset, _)> = log
        .all_appended(Topic::Event)
        .into_iter()
        .map(|(_, stored)| (stored.offset, stored.appended_at))
        .collect();
    format!("{seen:?} {last:?} {:?}", log.commits())
}

fn replay(seed: u64) -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history(seed))
}

#[test]
fn repeats_a_seed_exactly() {
    let first = replay(42);
    assert!(first == replay(42), "seed 42 went two ways");
    assert!(first != replay(43), "seeds 42 and 43 went the same way");
    assert!(first.contains("Unknown(") && first.contains("Done"));
}
