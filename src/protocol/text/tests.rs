//! Tests of `text`.

use super::*;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::progress::{MAX_OPEN, MAX_RUNS};
use proptest::prelude::*;
use std::time::Duration;

struct Known(BaseId, Rc<Progress>);

impl Bases for Known {
    fn base(&self, id: BaseId) -> Option<Rc<Progress>> {
        (id == self.0).then(|| self.1.clone())
    }
}

const ID: BaseId = BaseId {
    epoch: 7,
    number: 3,
    digest: 0x1a2b,
};

#[test]
fn the_initial_text_is_an_empty_progress() {
    assert_eq!(
        Progress::parse(INITIAL_COMMIT, &()),
        Ok(Progress::default())
    );
    assert!(Progress::parse("mq1;inix", &()).is_err());
}

fn any_positions() -> impl Strategy<Value = Positions> {
    let some = proptest::collection::vec(0usize..500, 0..40);
    let first = (0usize..=500).prop_map(Positions::first);
    prop_oneof![some.prop_map(|v| v.into_iter().collect()), first]
}

fn any_entry() -> impl Strategy<Value = RunEntry> {
    let numbers = proptest::array::uniform7(0u64..1_000_000);
    let row = proptest::option::of(any::<u64>());
    (any::<u64>(), row, numbers, 0u64..99).prop_map(|(next, last_row, finals, moved)| RunEntry {
        next,
        last_row,
        counters: Counters { finals, moved },
    })
}

fn any_move() -> impl Strategy<Value = Move> {
    let target = prop_oneof![
        (1u64..10_000_000).prop_map(|ms| Target::Retry(Duration::from_millis(ms))),
        Just(Target::Letter(LetterKind::Dead)),
        Just(Target::Letter(LetterKind::InDoubt)),
    ];
    (any::<u64>(), target, any::<u64>(), any::<bool>()).prop_map(
        |(number, target, run, uses_try)| Move {
            number,
            target,
            run: RunKey(run),
            uses_try,
        },
    )
}

type Chunks = BTreeMap<Offset, (usize, Positions, Positions, Positions)>;

fn any_chunks() -> impl Strategy<Value = Chunks> {
    let sets = (any_positions(), any_positions(), any_positions());
    let chunk = (0..MAX_RUNS, sets).prop_map(|(run, (a, b, c))| (run, a, b, c));
    proptest::collection::btree_map(0u64..200, chunk, 0..30)
}

/// Chunks of runs that have an entry: others break an invariant.
fn open(chunks: &Chunks, runs: &BTreeMap<RunKey, RunEntry>) -> BTreeMap<Offset, OpenChunk> {
    let chunks = chunks
        .iter()
        .filter_map(|(offset, (run, claimed, moving, done))| {
            let chunk = OpenChunk {
                run: *runs.keys().nth(run % runs.len().max(1))?,
                claimed: claimed.clone(),
                moving: moving.clone(),
                done: done.clone(),
            };
            Some((*offset, chunk))
        });
    chunks.collect()
}

fn any_progress() -> impl Strategy<Value = (Progress, Progress)> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let runs =
        proptest::collection::btree_map(any::<u64>().prop_map(RunKey), any_entry(), 0..=MAX_RUNS);
    let seen = proptest::collection::btree_map(0u32..200, any::<u64>(), 0..5);
    (
        ("[a-z0-9./:-]{1,40}", numbers),
        runs,
        (any_chunks(), any_chunks(), any::<bool>()),
        proptest::option::of(any_move()),
        seen,
    )
        .prop_map(
            |(
                (owner, (epoch, next, last_move, cancels_below)),
                runs,
                (chunks, mut others, alike),
                moving,
                seen,
            )| {
                if alike {
                    others.extend(chunks.clone().into_iter().step_by(2));
                }
                let seen = seen.into_iter();
                let progress = Progress {
                    owner,
                    epoch,
                    next,
                    open: open(&chunks, &runs),
                    last_move,
                    cancels_below,
                    moving,
                    seen: seen
                        .map(|(p, n)| (TopicPartition::new(Topic::Send, p), n))
                        .collect(),
                    runs: runs.clone(),
                };
                let base = Progress {
                    open: open(&others, &runs),
                    ..Progress::default()
                };
                (progress, base)
            },
        )
}

proptest! {
    #[test]
    fn every_progress_comes_back((progress, base) in any_progress()) {
        let text = progress.text();
        prop_assert!(text.is_ascii());
        prop_assert_eq!(Progress::epoch_of(&text), Ok(Some(progress.epoch)));
        prop_assert_eq!(&Progress::parse(&text, &()).unwrap(), &progress);
        let known = Known(ID, Rc::new(base));
        let text = progress.text_from(ID, &known.1);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(Progress::parse(&text, &()), Err(TextError::NoBase(ID)));
        prop_assert_eq!(Progress::epoch_of(&text), Ok(Some(progress.epoch)));
        prop_assert_eq!(Progress::parse(&text, &known), Ok(progress));
    }

    #[test]
    fn hostile_text_is_refused_or_read(text in "(mq[12];)?[ -~é]{0,200}") {
        let _ = Progress::parse(&text, &());
        let _ = Progress::parse(&text, &Known(ID, Rc::default()));
    }
}

fn sample(chunks: u64) -> Progress {
    let counters = Counters {
        finals: [9_999_999; 7],
        moved: 9_999_999,
    };
    let entry = RunEntry {
        next: 99_999_999,
        last_row: Some(99_999_999),
        counters,
    };
    let tiers = [60u64, 120, 240, 1800].map(|s| Topic::Retry(Duration::from_secs(s)));
    let chunk = OpenChunk {
        run: RunKey(1),
        done: Positions::first(300),
        ..OpenChunk::default()
    };
    Progress {
        owner: "a-rather-long-host-name.example.org/1234567/8f3a".into(),
        runs: (0..MAX_RUNS as u64).map(|n| (RunKey(n), entry)).collect(),
        open: (0..chunks)
            .map(|n| (99_990_000 + 8 * n, chunk.clone()))
            .collect(),
        moving: Some(Move {
            number: 9_999_999,
            target: Target::Letter(LetterKind::InDoubt),
            run: RunKey(1),
            uses_try: true,
        }),
        seen: tiers
            .into_iter()
            .map(|t| (TopicPartition::new(t, 11), 9_999_999))
            .collect(),
        ..Progress::default()
    }
}

#[test]
fn what_has_not_changed_since_the_base_costs_nothing() {
    let base = Rc::new(sample(MAX_OPEN as u64));
    let mut now = (*base).clone();
    assert!(base.text().len() < 900_000);
    assert!(now.text_from(ID, &base).len() < 1_300);
    // A claim in each of a hundred chunks still fits.
    for chunk in now.open.values_mut().take(100) {
        chunk.claimed.add(300);
    }
    assert!(now.text_from(ID, &base).len() <= 3_500);
}

#[test]
fn reads_texts_of_version_1() {
    let text = "mq1;o7,host/1/a;n3;l2;m2,60s,0000000000000005,1;ssend/3:4;r0000000000000005,9,44,1.2;\
                k8,0000000000000005,Aw,,AQ";
    let chunk = OpenChunk {
        run: RunKey(5),
        claimed: Positions::from_iter([0, 1]),
        moving: Positions::default(),
        done: Positions::from_iter([0]),
    };
    let progress = Progress::parse(text, &()).unwrap();
    assert_eq!((progress.epoch, progress.owner.as_str()), (7, "host/1/a"));
    assert_eq!(progress.open, BTreeMap::from([(8, chunk)]));
    assert_eq!(Progress::parse(&progress.text(), &()), Ok(progress));
}

#[test]
fn damage_and_versions_are_told_apart() {
    let error = |text| Progress::parse(text, &()).unwrap_err();
    assert_eq!(error("mq3;e1,x"), TextError::Version("mq3".into()));
    for (text, field) in [
        ("mq2;e1", 1),
        ("mq2;o1,x", 1),
        ("mq2;e1,x;", 2),
        ("mq2;e1,x;k1,0,,,", 2),
        ("mq2;e1,x;r0000000000000001,0,-,0;k1,1,,,", 3),
        ("mq2;e1,x;r0000000000000001,0,-,0;k1,0,,", 3),
        ("mq2;e1,x;b7.1", 2),
        ("mq2;e1,x;x", 2),
        ("mq1;e1,x", 1),
        ("mq1;o1,x;b7.3.1a", 2),
        ("mq1;o1,x;k1,0000000000000002,,,", 2),
    ] {
        assert!(
            matches!(error(text), TextError::Damaged { field: at, .. } if at == field),
            "{text}"
        );
    }
}
