//! Topics, records and slots.

use super::*;
use bytes::Bytes;
use mailq::queue::{Bounds, QueueError, SlotRequest};

pub async fn topics_are_created_once_and_listed(store: Store) {
    let appended = store.a.append(SEND_0, numbered(0..3)).await.unwrap();
    store.b.create_topics(&topics()).await.unwrap();
    let hourly = Topic::Retry(Duration::from_secs(3600));
    store.b.create_topics(&[hourly]).await.unwrap();
    assert_eq!(offsets(&read_all(&store.a, SEND_0, 0).await), appended);
    let mut listed = store.a.topics().await.unwrap();
    let mut expected = topics();
    expected.push(hourly);
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(store.a.partitions(), PARTITIONS);
    assert_eq!(store.a.url(), store.b.url());
}

pub async fn a_missing_topic_is_named(store: Store) {
    let missing = Topic::Retry(Duration::from_secs(7));
    let at = TopicPartition::new(missing, 0);
    let no_topic = QueueError::NoTopic(missing);
    let appended = store.a.append(at, numbered(0..1)).await;
    assert_eq!(appended, Err(no_topic.clone()));
    assert_eq!(store.a.fetch(at, 0, 1).await, Err(no_topic.clone()));
    assert_eq!(store.a.bounds(at).await, Err(no_topic));
}

pub async fn offsets_grow_and_both_handles_read_in_order(store: Store) {
    let mut appended = Vec::new();
    for start in [0, 10, 20] {
        let records = numbered(start..start + 10);
        appended.extend(store.a.append(SEND_0, records).await.unwrap());
        assert_eq!(offsets(&read_all(&store.b, SEND_0, 0).await), appended);
    }
    assert!(appended.is_sorted_by(|one, next| one < next));
    for queue in [&store.a, &store.b] {
        let stored = read_all(queue, SEND_0, 0).await;
        assert_eq!(records(&stored), numbered(0..30));
        assert!(stored.is_sorted_by_key(|s| s.appended_at));
    }
}

pub async fn appends_of_both_handles_take_turns(store: Store) {
    let append = async |queue: &Rc<dyn Queue>, start: u32| {
        let mut appended = BTreeMap::new();
        for n in start..start + 20 {
            let offset = queue.append(SEND_0, numbered(n..n + 1)).await.unwrap();
            appended.insert(offset[0], n);
        }
        appended
    };
    let (mut landed, others) =
        futures_util::future::join(append(&store.a, 0), append(&store.b, 100)).await;
    landed.extend(others);
    assert_eq!(landed.len(), 40, "two records have the same offset");
    let stored = read_all(&store.a, SEND_0, 0).await;
    let expected = landed.values().flat_map(|n| numbered(*n..*n + 1));
    assert_eq!(records(&stored), expected.collect::<Vec<_>>());
}

pub async fn any_bytes_come_back(store: Store) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let bare = Record::default();
    let tombstone = Record {
        key: Some("gone".to_owned()),
        ..bare.clone()
    };
    let empty = Record {
        key: Some(String::new()),
        headers: vec![header("", "")],
        payload: Some(Bytes::new()),
    };
    let odd = Record {
        key: Some("ключ 鍵 🔑\0\n'\"".to_owned()),
        headers: vec![header("b", "2"), header("a", "é\r\n\0"), header("b", "1")],
        payload: Some(Bytes::from(all_bytes)),
    };
    let large = record("large", &vec![0x5a; 600_000]);
    let keyed = vec![tombstone, empty, odd, large];
    let any = [vec![bare], keyed.clone()].concat();
    for (at, sent) in [(SEND_0, any), (CAMPAIGN, keyed)] {
        store.a.append(at, sent.clone()).await.unwrap();
        assert_eq!(records(&read_all(&store.b, at, 0).await), sent, "{at}");
    }
}

pub async fn fetch_begins_in_the_middle_and_ends_at_the_end(store: Store) {
    let at = store.a.append(SEND_0, numbered(0..10)).await.unwrap();
    assert_eq!(
        offsets(&read_all(&store.b, SEND_0, at[4]).await),
        at[4..].to_vec()
    );
    let end = store.b.bounds(SEND_0).await.unwrap().end;
    assert_eq!(end, at[9] + 1);
    for beyond in [end, end + 1_000_000] {
        let found = store.b.fetch(SEND_0, beyond, ALL_BYTES).await;
        assert_eq!(found, Ok(Vec::new()));
    }
    let next = store.a.append(SEND_0, numbered(10..11)).await.unwrap();
    assert_eq!(next, [end]);
}

pub async fn fetch_gives_at_least_one_and_not_much_more_than_asked(store: Store) {
    let kilobyte = vec![0; 1000];
    let sent: Vec<Record> = (0..50).map(|_| record("k", &kilobyte)).collect();
    let at = store.a.append(SEND_0, sent).await.unwrap();
    for from in [at[0], at[49]] {
        let one = store.b.fetch(SEND_0, from, 1).await.unwrap();
        assert_eq!(offsets(&one), [from]);
    }
    let some = store.b.fetch(SEND_0, at[0], 10_000).await.unwrap();
    assert!((5..=11).contains(&some.len()), "{} records", some.len());
}

pub async fn nothing_is_read_below_the_low_watermark(store: Store) {
    for at in [SEND_0, CAMPAIGN] {
        let appended = store.a.append(at, numbered(0..10)).await.unwrap();
        store.a.drop_below(at, appended[6]).await.unwrap();
        let (low, end) = (appended[6], appended[9] + 1);
        assert_eq!(
            store.b.bounds(at).await,
            Ok(Bounds {
                low_watermark: low,
                end
            })
        );
        assert_eq!(
            offsets(&read_all(&store.b, at, low).await),
            appended[6..].to_vec()
        );
    }
    let too_low = store.b.fetch(SEND_0, 0, ALL_BYTES).await;
    let expected = QueueError::BelowLowWatermark {
        at: SEND_0,
        offset: 0,
        low_watermark: 6,
    };
    assert_eq!(too_low, Err(expected));
    let first_standing = store.b.fetch(CAMPAIGN, 0, 1).await.unwrap();
    assert_eq!(records(&first_standing), numbered(6..7));
}

pub async fn dropping_is_idempotent(store: Store) {
    let at = store.a.append(SEND_0, numbered(0..10)).await.unwrap();
    for offset in [at[5], at[5], at[2], at[0]] {
        store.b.drop_below(SEND_0, offset).await.unwrap();
        assert_eq!(store.a.bounds(SEND_0).await.unwrap().low_watermark, at[5]);
    }
    let end = at[9] + 1;
    store.b.drop_below(SEND_0, end).await.unwrap();
    let empty = Bounds {
        low_watermark: end,
        end,
    };
    assert_eq!(store.a.bounds(SEND_0).await, Ok(empty));
    let next = store.a.append(SEND_0, numbered(10..11)).await.unwrap();
    assert_eq!(next, [end], "offsets are not given twice");
}

/// Another process appends and drops all between two appends. Over acknowledgements without an offset, the third append
/// of a round is one of the two whose offset is not told.
pub async fn offsets_are_right_after_another_has_dropped_everything(store: Store) {
    for round in 0..6 {
        let first = store.a.append(SEND_0, numbered(0..1)).await.unwrap();
        for _ in 0..2 {
            store.b.append(SEND_0, numbered(1..2)).await.unwrap();
        }
        let end = store.b.bounds(SEND_0).await.unwrap().end;
        store.b.drop_below(SEND_0, end).await.unwrap();
        let next = store.a.append(SEND_0, numbered(2..3)).await;
        assert_eq!(next, Ok(vec![end]), "round {round} after {first:?}");
    }
}

pub async fn partitions_are_logs_of_their_own(store: Store) {
    let mut sent = BTreeMap::new();
    for (number, at) in (0..).zip(owned_partitions()) {
        let records = numbered(0..number);
        store.a.append(at, records.clone()).await.unwrap();
        sent.insert(at, records);
    }
    for (at, expected) in sent {
        assert_eq!(records(&read_all(&store.b, at, 0).await), expected, "{at}");
        let bounds = store.b.bounds(at).await.unwrap();
        assert_eq!(
            bounds.end - bounds.low_watermark,
            expected.len() as u64,
            "{at}"
        );
    }
}

pub async fn compaction_keeps_the_last_of_each_key(store: Store) {
    let value = |key: &str, round: u32| record(key, round.to_string().as_bytes());
    let round = |n: u32| ["a", "b", "c"].map(|key| value(key, n)).to_vec();
    let mut at = Vec::new();
    for n in 0..20 {
        at.extend(store.a.append(CAMPAIGN, round(n)).await.unwrap());
    }
    at.extend(store.a.append(CAMPAIGN, vec![value("d", 0)]).await.unwrap());
    (store.compact)();
    let end = store.b.bounds(CAMPAIGN).await.unwrap().end;
    assert_eq!(Some(&(end - 1)), at.last());
    for from in [at[0], at[10], at[59]] {
        let followed = read_all(&store.b, CAMPAIGN, from).await;
        assert!(followed.is_sorted_by(|one, next| one.offset < next.offset));
        let last: BTreeMap<_, _> = followed
            .into_iter()
            .map(|s| (s.record.key.clone(), s))
            .collect();
        // In the second half of the last round only `c` and `d` are left.
        let keys: &[&str] = if from == at[59] {
            &["c", "d"]
        } else {
            &["a", "b", "c", "d"]
        };
        assert_eq!(last.len(), keys.len());
        for key in keys {
            let stored = &last[&Some((*key).to_owned())];
            let expected = value(key, if *key == "d" { 0 } else { 19 });
            assert_eq!(stored.record, expected);
            assert!(at.contains(&stored.offset));
        }
    }
    store.a.append(CAMPAIGN, round(20)).await.unwrap();
    let new = read_all(&store.b, CAMPAIGN, end).await;
    assert_eq!(records(&new), round(20));
}

fn request(bucket: &str, want: u32, burst: u32) -> SlotRequest {
    SlotRequest {
        bucket: bucket.to_owned(),
        want,
        interval: INTERVAL,
        burst,
        horizon: Duration::from_secs(3600),
        unused: Vec::new(),
    }
}

const INTERVAL: Duration = Duration::from_secs(2);

/// The distances between instants, whoever took them, in order of time.
fn gaps(mut slots: Vec<Duration>) -> Vec<Duration> {
    slots.sort();
    let next = slots.iter().skip(1);
    next.zip(&slots).map(|(next, one)| *next - *one).collect()
}

pub async fn slots_of_two_handles_keep_one_rate(store: Store) {
    let mut taken = Vec::new();
    for queue in [&store.a, &store.b, &store.b, &store.a] {
        let slots = queue
            .buckets()
            .unwrap()
            .take_slots(vec![request("rate", 5, 1)])
            .await
            .unwrap()
            .remove(0);
        assert_eq!(slots.at.len(), 5);
        assert!(slots.at.is_sorted());
        assert!(slots.at.iter().all(|at| *at < slots.next));
        taken.extend(slots.at);
    }
    let gaps = gaps(taken);
    assert_eq!(gaps, [INTERVAL; 19], "neither closer nor wasted");
    let none = store
        .a
        .buckets()
        .unwrap()
        .take_slots(vec![request("rate", 0, 1)])
        .await
        .unwrap()
        .remove(0);
    assert!(none.at.is_empty());
}

pub async fn a_burst_may_come_early_once(store: Store) {
    let mut taken = Vec::new();
    for queue in [&store.a, &store.b, &store.a, &store.b] {
        let slots = queue
            .buckets()
            .unwrap()
            .take_slots(vec![request("burst", 2, 3)])
            .await
            .unwrap()
            .remove(0);
        taken.extend(slots.at);
    }
    assert_eq!(taken.len(), 8);
    // Any n slots span n - 1 intervals, except that two may come early.
    taken.sort();
    for (count, last) in (1u32..).zip(&taken) {
        let least = INTERVAL.saturating_mul(count.saturating_sub(3));
        assert!(*last - taken[0] >= least, "{taken:?}");
    }
    assert!(gaps(taken)[0] < INTERVAL, "nothing came early");
}

pub async fn slots_beyond_the_horizon_are_left(store: Store) {
    let near = |want| SlotRequest {
        horizon: Duration::from_secs(7),
        ..request("near", want, 1)
    };
    let first = store
        .a
        .buckets()
        .unwrap()
        .take_slots(vec![near(100)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(first.at.len(), 4, "at 0, 2, 4 and 6 s");
    let refused = store
        .b
        .buckets()
        .unwrap()
        .take_slots(vec![near(100)])
        .await
        .unwrap()
        .remove(0);
    assert!(refused.at.is_empty());
    assert_eq!(refused.next, first.next);
    let far = store
        .b
        .buckets()
        .unwrap()
        .take_slots(vec![request("near", 1, 1)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        far.at,
        [first.next],
        "what was left is for whoever asks next"
    );
}

pub async fn buckets_do_not_share(store: Store) {
    let one = store
        .a
        .buckets()
        .unwrap()
        .take_slots(vec![request("relay/x", 10, 1)])
        .await
        .unwrap()
        .remove(0);
    let other = store
        .b
        .buckets()
        .unwrap()
        .take_slots(vec![request("site/x", 1, 1)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(one.at.len(), 10);
    assert!(other.at[0] < one.at[9], "waits for another bucket");
}
