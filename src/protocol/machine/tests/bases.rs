//! When a base is written, what commits refer to, and when a base is deleted.

use super::topics::*;
use super::*;
use crate::protocol::Positions;
use crate::protocol::text::{Bases, base_of};

/// As the campaign topic would have them.
#[derive(Default)]
struct Known(BTreeMap<String, Rc<Progress>>);

impl Known {
    fn append(&mut self, base: &crate::domain::records::Base) {
        let progress = Progress::parse(&base.text, &()).unwrap();
        self.0.insert(base.id.clone(), Rc::new(progress));
    }
}

impl Bases for Known {
    fn base(&self, id: BaseId) -> Option<Rc<Progress>> {
        self.0.get(&id.to_string()).cloned()
    }
}

/// So many open chunks of which every second message is done.
fn many_open(count: u64) -> Progress {
    let entry = RunEntry {
        next: count,
        last_row: None,
        ..RunEntry::default()
    };
    let chunk = OpenChunk {
        run: key(1),
        done: (0..400).step_by(2).collect(),
        ..OpenChunk::default()
    };
    Progress {
        owner: "v".into(),
        epoch: 4,
        runs: [(key(1), entry)].into(),
        open: (0..count).map(|offset| (offset, chunk.clone())).collect(),
        ..Progress::default()
    }
}

/// Effects become durable; the next text, if there is one.
fn step(machine: &mut Machine, topics: &Topics, known: &mut Known) -> (Effects, Option<String>) {
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    if let Some(base) = &effects.base {
        known.append(base);
    }
    machine.effects_durable(effects.clone()).unwrap();
    let draft = topics.at(0, |view| machine.prepare_and_compose(view, limits(0, None)));
    (effects, draft.unwrap().map(|draft| draft.text))
}

#[test]
fn a_text_that_does_not_fit_waits_for_a_base_and_refers_to_it() {
    let topics = Topics::of_run(99);
    let before = many_open(99);
    let mut known = Known::default();
    let mut machine = gain(SEND, Some((0, before.text())));
    let (effects, text) = step(&mut machine, &topics, &mut known);
    assert!(effects.is_empty());
    assert_eq!(text, None, "{} characters", before.text().len());
    let (effects, text) = step(&mut machine, &topics, &mut known);
    let (base, text) = (effects.base.unwrap(), text.unwrap());
    assert_eq!(base_of(&text).unwrap().to_string(), base.id);
    assert!(text.len() < 200, "{text}");
    assert_eq!(Progress::parse(&text, &known).unwrap(), machine.progress);
    assert!(machine.committed().unwrap().is_empty());
    assert!(machine.next_base().is_none());
}

#[test]
fn a_base_is_deleted_when_a_commit_without_it_is_acknowledged() {
    let topics = Topics::of_run(99);
    let before = many_open(99);
    let mut known = Known::default();
    let (id, base) = before.as_base(SEND, 3);
    known.append(&base);
    let gain = Gain {
        at: SEND,
        token: 7,
        owner: "w".into(),
        committed: Some((0, before.text_from(id, &before))),
        low: 0,
        bases: vec![id],
        sites: Rc::default(),
    };
    let mut machine = Machine::gain(gain, &known, rules()).unwrap();
    let (effects, text) = step(&mut machine, &topics, &mut known);
    assert!(effects.is_empty());
    assert_eq!(base_of(&text.unwrap()), Some(id));
    machine.committed().unwrap();
    // Everything is done, so the next text needs no base.
    let full = Positions::first(400);
    for chunk in machine.progress.open.values_mut() {
        chunk.done = full.clone();
    }
    machine.progress.open.retain(|offset, _| *offset < 3);
    machine.phase = Phase::Active;
    let draft = topics.at(0, |view| machine.prepare_and_compose(view, limits(0, None)));
    assert_eq!(base_of(&draft.unwrap().unwrap().text), None);
    assert_eq!(machine.bases.unused(), []);
    machine.committed().unwrap();
    assert_eq!(machine.bases.unused(), [id]);
}

#[test]
fn claims_that_do_not_fit_are_taken_back_last_ones_first() {
    let topics = Topics::of_run(2);
    let mut machine = owned(SEND, None, &topics);
    for offset in 0..3 {
        let first = offset * 4;
        let rows: Vec<u64> = (first..first + 4).collect();
        read(&mut machine, offset, chunk(1, &rows, None));
        cycle(&mut machine, &topics, 0, 0);
    }
    machine.rules.max_text = machine.progress.text().len() + 3;
    let draft = topics.at(0, |view| {
        machine.prepare_and_compose(view, limits(12, None))
    });
    assert!(draft.unwrap().unwrap().text.len() <= machine.rules.max_text);
    let claimed = references(&machine.committed().unwrap());
    let first: Vec<MessageRef> = (0..claimed.len())
        .map(|place| reference(place as u64 / 4, place % 4))
        .collect();
    assert_eq!(claimed, first);
    assert!((1..12).contains(&claimed.len()), "{claimed:?}");
    assert_eq!(machine.uncommitted(), claimed.len());
}

#[test]
fn a_move_is_not_carried_out_before_a_commit_has_it() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    report(&mut machine, reference(0, 0), DEFERRED);
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    machine.effects_durable(effects).unwrap();
    // Room for the move, but not for the open chunk.
    machine.rules.max_text = machine.progress.head().len() + 30;
    let draft = topics.at(0, |view| machine.prepare_and_compose(view, limits(0, None)));
    assert_eq!(draft.unwrap(), None);
    assert!(machine.progress.moving.is_some());
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    assert!(effects.move_record.is_none());
    machine.effects_durable(effects).unwrap();
    machine.rules.max_text = rules().max_text;
    cycle(&mut machine, &topics, 0, 0);
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    assert!(effects.move_record.is_some());
}

#[test]
fn what_only_the_standing_commit_has_claimed_still_counts() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let delivered = Outcome::Ended(Final::Delivered);
    report(&mut machine, reference(0, 0), Some(delivered));
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    machine.effects_durable(effects).unwrap();
    assert_eq!(machine.uncommitted(), 1);
    assert_eq!(machine.released(), 1);
    topics.at(0, |view| machine.prepare(view)).unwrap();
    assert!(!machine.awaits_base());
    machine.rules.max_text = machine.progress.head().len();
    topics.at(0, |view| machine.prepare(view)).unwrap();
    assert!(machine.awaits_base());
}

#[test]
fn a_worker_that_gains_a_partition_again_uses_no_name_again() {
    let topics = Topics::of_run(99);
    let text = many_open(99).text();
    let mut known = Known::default();
    let mut first = gain(SEND, Some((0, text.clone())));
    step(&mut first, &topics, &mut known);
    let (effects, _) = step(&mut first, &topics, &mut known);
    let id = BaseId::parse(&effects.base.unwrap().id).unwrap();
    // Nothing was committed, and the same worker gains the partition again.
    let gain = Gain {
        at: SEND,
        token: 8,
        owner: "w".into(),
        committed: Some((0, text)),
        low: 0,
        bases: vec![id],
        sites: Rc::default(),
    };
    let mut again = Machine::gain(gain, &known, rules()).unwrap();
    step(&mut again, &topics, &mut known);
    let (_, text) = step(&mut again, &topics, &mut known);
    let next = base_of(&text.unwrap()).unwrap();
    assert_eq!((next.epoch, next.digest), (id.epoch, id.digest));
    assert_eq!(next.number, id.number + 1);
    again.committed().unwrap();
    assert_eq!(again.bases.unused(), [id]);
}

#[test]
fn a_commit_that_no_longer_fits_under_the_next_base_stands() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let text = machine.bases.text(&machine.progress);
    // As if the name of the base were one character longer now.
    machine.rules.max_text = text.len() - 1;
    topics.at(0, |view| machine.prepare(view)).unwrap();
    assert!(!machine.awaits_base());
    let renewed = Limits {
        renew: true,
        ..Limits::default()
    };
    let draft = topics.at(0, |view| machine.compose(view, renewed));
    assert_eq!(draft, Ok(None));
}

#[test]
fn two_states_of_one_epoch_get_bases_of_different_names() {
    let (one, _) = many_open(9).as_base(SEND, 1);
    let (other, _) = many_open(10).as_base(SEND, 1);
    assert_ne!(one, other);
    assert_eq!(BaseId::parse(&one.to_string()), Some(one));
}
