//! Any history of a run, and the queue that it leaves behind.

use mailq::domain::counters::Final;
use mailq::domain::event::EventType;
use mailq::domain::ids::RunId;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq_testkit::story::{HOUR, MINUTE, Script};
use proptest::prelude::*;

/// What happens to one message: an end, or a move to a tier and what happens there.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Stay,
    End(Final),
    Retry,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Stay),
        3 => Just(Fate::Retry),
        1 => Just(Fate::End(Final::Dead)),
        1 => Just(Fate::End(Final::InDoubt)),
        4 => prop::sample::select(vec![Final::Delivered, Final::Bounced, Final::Expired]).prop_map(Fate::End),
    ]
}

#[derive(Debug, Clone)]
pub struct History {
    /// Chunks by partition; each of four rows.
    pub chunks: Vec<u32>,
    /// Chunks opened in each partition of send, then in each of the tiers.
    pub opened: [usize; 6],
    pub fates: Vec<Fate>,
    pub leaves: [bool; 2],
    /// Records of events and of the minute's tier that are written twice.
    pub twice: Vec<prop::sample::Index>,
    pub is_doubted: bool,
}

pub fn any_history() -> impl Strategy<Value = History> {
    (
        prop::collection::vec(0u32..2, 1..6),
        prop::array::uniform6(0usize..8),
        prop::collection::vec(any_fate(), 40),
        any::<[bool; 2]>(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        any::<bool>(),
    )
        .prop_map(
            |(chunks, opened, fates, leaves, twice, is_doubted)| History {
                chunks,
                opened,
                fates,
                leaves,
                twice,
                is_doubted,
            },
        )
}

pub fn written(history: &History) -> Script {
    let mut script = Script::default();
    let chunks: Vec<_> = history
        .chunks
        .iter()
        .zip(0u64..)
        .map(|(p, n)| (*p, n * 4..n * 4 + 4))
        .collect();
    let key = script.enqueue(&RunId::new("spring", "1"), &chunks, &[]);
    let mut fates = history.fates.iter().copied().cycle();
    let topics = [(Topic::Send, MINUTE), (MINUTE, HOUR), (HOUR, HOUR)];
    for (tier, (topic, next)) in topics.into_iter().enumerate() {
        for partition in 0..2 {
            let at = TopicPartition::new(topic, partition);
            let opened = history.opened[tier * 2 + partition as usize];
            for offset in 0..script.log(at).len().min(opened) {
                script.open(at, offset as u64);
                // At most four chunks are open: the older ones come to an end.
                let must_end = offset + 4 < opened;
                for position in 0..script.chunk(at, offset as u64).messages.len() {
                    handle(
                        &mut script,
                        (at, offset as u64, position),
                        (fates.next().unwrap(), next),
                        must_end,
                        history.is_doubted,
                    );
                }
            }
            let is_idle = script.at(at).open.is_empty();
            if history.leaves[partition as usize] && (topic == Topic::Send || is_idle) {
                script.leave(at, key);
            }
        }
    }
    for index in &history.twice {
        let events = TopicPartition::new(Topic::Event, 0);
        let records = script.log(events).clone();
        if !records.is_empty() {
            script.log(events).push(index.get(&records).clone());
        }
    }
    script
}

fn handle(
    script: &mut Script,
    (at, offset, position): (TopicPartition, u64, usize),
    (fate, next): (Fate, Topic),
    must_end: bool,
    is_doubted: bool,
) {
    match fate {
        Fate::End(end) => {
            if is_doubted {
                // An earlier owner delivered it and was lost: named, and sent again.
                let line = script.chunk(at, offset).messages[position].line.clone();
                script.tell(at, &line, EventType::Delivered, true, 0);
                script.tell(at, &line, EventType::InDoubt, false, 1);
            }
            script.end(at, offset, position, end);
        }
        Fate::Retry if next != at.topic => script.retry(at, offset, position, next),
        _ if must_end => script.end(at, offset, position, Final::Delivered),
        _ => {}
    }
}
