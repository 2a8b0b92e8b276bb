//! Every invariant, broken on purpose: the step that meets it says so, and nothing is done.

use super::*;
use crate::domain::counters::Counters;
use crate::protocol::positions::Positions;
use crate::protocol::progress::OpenChunk;

fn kind<T: std::fmt::Debug>(step: Result<T, Broken>) -> Invariant {
    let broken = step.expect_err("a broken invariant was passed over");
    assert!(!broken.detail.is_empty());
    broken.invariant
}

fn gain_error(text: &str) -> Invariant {
    match try_gain(SEND, Some((0, text.to_string()))) {
        Err(GainError::Broken(broken)) => broken.invariant,
        other => panic!("`{text}` was taken over: {other:?}"),
    }
}

/// An owned machine whose last owner had this chunk open, and whose contents are not read yet.
fn with_open_chunk(topics: &Topics, claimed: &str) -> Machine {
    let run = key(1);
    let text = format!("mq1;o1,w;n0;l0;r{run},1,3,0;k0,{run},{claimed},,");
    owned(SEND, Some((0, text)), topics)
}

fn effects(machine: &mut Machine, topics: &Topics) -> Result<Effects, Broken> {
    topics.at(0, |view| machine.effects(view))
}

fn compose(machine: &mut Machine, topics: &Topics) -> Result<Option<Draft>, Broken> {
    topics.at(0, |view| machine.prepare_and_compose(view, limits(1, None)))
}

#[test]
fn a_run_without_a_manifest_stops_every_step() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let found = effects(&mut machine, &Topics::new());
    assert_eq!(kind(found), Invariant::RunHasManifest);

    let mut tier = owned(TIER, None, &topics);
    read(&mut tier, 0, chunk(2, &[0], Some((SEND, 1))));
    let opened = topics.at(99, |view| tier.prepare_and_compose(view, limits(1, None)));
    assert_eq!(kind(opened), Invariant::RunHasManifest);
}

#[test]
fn a_commit_that_does_not_agree_with_itself_is_not_taken_over() {
    let (run, other) = (key(1), key(2));
    let start = format!("mq1;o1,w;n0;l1;r{run},1,3,0");
    for (rest, invariant) in [
        (
            format!("m1,60s,{run},1;k0,{run},,AQ,AQ"),
            Invariant::MessageEndsOnce,
        ),
        (format!("m1,60s,{run},1"), Invariant::MoveNamesItsMessages),
        (format!("k0,{run},,AQ,"), Invariant::MoveNamesItsMessages),
        (
            format!("m1,60s,{other},1;k0,{run},,AQ,"),
            Invariant::MoveNamesItsMessages,
        ),
    ] {
        assert_eq!(gain_error(&format!("{start};{rest}")), invariant, "{rest}");
    }
}

#[test]
fn contents_must_be_of_the_run_and_hold_what_the_sets_name() {
    let topics = Topics::of_run(0);
    let rows = [0, 1, 2, 3];
    let supply = |claimed: &str, chunk| {
        let mut machine = with_open_chunk(&topics, claimed);
        kind(machine.supply(0, chunk, day()))
    };
    let outside = Positions::from_iter([4]).text();
    assert_eq!(
        supply("", chunk(2, &rows, None)),
        Invariant::ContentsAreOfTheRun
    );
    assert_eq!(
        supply(&outside, chunk(1, &rows, None)),
        Invariant::SetsFitTheChunk
    );
    let many: Vec<u64> = (1_000..1_501).collect();
    assert_eq!(supply("", chunk(1, &many, None)), Invariant::ChunkFitsASet);
}

#[test]
fn a_message_that_is_acted_on_lies_in_an_open_chunk() {
    let topics = Topics::of_run(0);
    for outcome in [Some(Outcome::Ended(Final::Delivered)), None, DEFERRED] {
        let (mut machine, _) = claimed_two(&topics);
        report(&mut machine, reference(0, 0), outcome);
        let effects = effects(&mut machine, &topics).unwrap();
        machine.progress.open.clear();
        assert_eq!(
            kind(machine.effects_durable(effects)),
            Invariant::MessageIsOpen
        );
    }

    let (mut machine, _) = claimed_two(&topics);
    machine.chunks.clear();
    assert_eq!(
        kind(effects(&mut machine, &topics)),
        Invariant::MessageIsOpen
    );

    let (mut machine, _) = claimed_two(&topics);
    report(&mut machine, reference(0, 0), DEFERRED);
    let effects = effects(&mut machine, &topics).unwrap();
    machine.effects_durable(effects).unwrap();
    machine.progress.open.clear();
    let composed = compose(&mut machine, &topics);
    assert_eq!(kind(composed), Invariant::MessageIsOpen);
}

#[test]
fn a_message_in_flight_is_answered_once() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let mut answer = |position| machine.report(reference(0, position), DEFERRED, Rc::default());
    assert_eq!(kind(answer(3)), Invariant::AnswerIsAwaited);
    answer(0).unwrap();
    assert_eq!(kind(answer(0)), Invariant::AnswerIsAwaited);
}

#[test]
fn only_what_was_asked_for_is_read() {
    let topics = Topics::of_run(9);
    let of_run = || chunk(1, &[0, 1, 2, 3], None);
    let mut machine = with_open_chunk(&topics, "");
    let elsewhere = machine.supply(1, of_run(), day());
    assert_eq!(kind(elsewhere), Invariant::ReadIsAwaited);
    supply(&mut machine, of_run());
    let again = machine.supply(0, of_run(), day());
    assert_eq!(kind(again), Invariant::ReadIsAwaited);

    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, of_run());
    let again = machine.found(vec![found(0, of_run())]);
    assert_eq!(kind(again), Invariant::ReadIsAwaited);

    for (at, moved_from) in [(SEND, None), (TIER, Some((SEND, 1)))] {
        let mut machine = owned(at, None, &topics);
        read(&mut machine, 5, chunk(1, &[0], moved_from));
        let opened = topics.at(99, |view| {
            machine.prepare_and_compose(view, limits(0, None))
        });
        assert_eq!(kind(opened), Invariant::ReadIsAwaited);
    }
}

#[test]
fn a_claim_is_taken_back_once_and_a_message_ends_once() {
    let topics = Topics::of_run(0);
    for (outcome, invariant) in [
        (None, Invariant::ReleasedWasClaimed),
        (
            Some(Outcome::Ended(Final::Bounced)),
            Invariant::MessageEndsOnce,
        ),
    ] {
        let (mut machine, _) = claimed_two(&topics);
        report(&mut machine, reference(0, 0), outcome);
        let effects = effects(&mut machine, &topics).unwrap();
        let open = machine.progress.open.get_mut(&0).unwrap();
        (open.claimed, open.done) = (Positions::NONE, Positions::first(1));
        assert_eq!(kind(machine.effects_durable(effects)), invariant);
    }
}

#[test]
fn an_end_that_cannot_be_counted_is_not_done() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    report(
        &mut machine,
        reference(0, 0),
        Some(Outcome::Ended(Final::Delivered)),
    );
    let effects = effects(&mut machine, &topics).unwrap();
    machine.progress.runs.clear();
    assert_eq!(
        kind(machine.effects_durable(effects)),
        Invariant::OpenChunkHasRunEntry
    );
    let composed = compose(&mut machine, &topics);
    assert_eq!(kind(composed), Invariant::OpenChunkHasRunEntry);
}

#[test]
fn a_move_names_messages_and_all_of_its_run() {
    let topics = Topics::of_run(0);
    let moving = |change: fn(&mut Machine)| {
        let (mut machine, _) = claimed_two(&topics);
        report(&mut machine, reference(0, 0), DEFERRED);
        cycle(&mut machine, &topics, 0, 0);
        change(&mut machine);
        machine.acked = Some(Rc::new(machine.progress.clone()));
        kind(effects(&mut machine, &topics))
    };
    let none: fn(&mut Machine) = |machine| {
        let open = machine.progress.open.get_mut(&0).unwrap();
        open.moving = Positions::NONE;
    };
    let other: fn(&mut Machine) = |machine| {
        machine.progress.moving.as_mut().unwrap().run = key(2);
    };
    assert_eq!(moving(none), Invariant::MoveNamesItsMessages);
    assert_eq!(moving(other), Invariant::MoveNamesItsMessages);
}

#[test]
fn a_moved_chunk_without_its_source_is_refused() {
    let topics = Topics::of_run(0);
    let mut machine = owned(TIER, None, &topics);
    read(&mut machine, 0, chunk(1, &[0], None));
    let opened = topics.at(99, |view| {
        machine.prepare_and_compose(view, limits(0, None))
    });
    assert_eq!(kind(opened), Invariant::CopyNamesItsSource);
}

#[test]
fn effects_and_commits_are_awaited_once() {
    let topics = Topics::of_run(0);
    let mut machine = owned(SEND, None, &topics);
    let effects = machine.effects_durable(Effects::default());
    assert_eq!(kind(effects), Invariant::EffectsAreAwaited);
    assert_eq!(kind(machine.committed()), Invariant::CommitIsAwaited);
}

#[test]
fn an_entry_leaves_once() {
    let mut topics = Topics::of_run(0);
    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, chunk(1, &[0], None));
    cycle(&mut machine, &topics, 0, 0);
    topics.pause(1, true);
    let effects = effects(&mut machine, &topics).unwrap();
    assert_eq!(effects.left.len(), 1);
    machine.progress.runs.clear();
    assert_eq!(
        kind(machine.effects_durable(effects)),
        Invariant::EntryLeavesOnce
    );
}

#[test]
fn a_text_that_is_too_long_is_not_committed() {
    let topics = Topics::of_run(0);
    let mut machine = owned(SEND, None, &topics);
    let seen = (0..400).map(|partition| (TopicPartition::new(Topic::Send, partition), 1));
    machine.progress.seen = seen.collect();
    let composed = compose(&mut machine, &topics);
    assert_eq!(kind(composed), Invariant::TextFitsACommit);
}

#[test]
fn needed_records_are_not_below_the_low_watermark() {
    let topics = Topics::of_run(9);
    let mut machine = owned(SEND, None, &topics);
    machine.raise_low_watermark(3).unwrap();
    let wanted = topics.at(0, |view| machine.want(view));
    assert!(matches!(wanted, Some(Want::Next { from: 3, .. })));

    read(&mut machine, 3, chunk(1, &[0, 1], None));
    cycle(&mut machine, &topics, 0, 0);
    machine.raise_low_watermark(3).unwrap();
    assert_eq!(
        kind(machine.raise_low_watermark(4)),
        Invariant::NeededRecordsAreKept
    );
    machine.progress.open.clear();
    assert_eq!(
        kind(machine.raise_low_watermark(5)),
        Invariant::NeededRecordsAreKept
    );

    let mut tier = owned(TIER, None, &topics);
    assert_eq!(
        kind(tier.raise_low_watermark(1)),
        Invariant::NeededRecordsAreKept
    );
}

#[test]
fn a_set_that_cannot_be_read_is_refused() {
    let mut topics = Topics::of_run(9);
    let mut leave = |open: &str, at: &str| {
        topics.try_tell(CampaignRecord::Left(LeftEntry {
            key: key(1),
            at: at.into(),
            owner: 1,
            next: 1,
            last_row: None,
            open: [(0, open.to_string())].into(),
            counters: Counters::default(),
        }))
    };
    assert!(leave("AQ", "send/0").is_ok());
    assert!(leave("?", "send/0").is_err());
    assert!(leave("AQ", "send").is_err());
}

#[test]
fn times_that_cannot_be_read_are_refused() {
    let mut topics = Topics::new();
    let soon = manifest(1, 0, |manifest| manifest.not_before = Some("soon".into()));
    assert!(topics.try_tell(CampaignRecord::Manifest(soon)).is_err());
    let mut seal = seal(1, 0);
    seal.sealed_at = "now".into();
    assert!(topics.try_tell(CampaignRecord::Seal(seal)).is_err());
}

#[test]
fn the_sets_of_an_open_chunk_are_checked_before_they_are_committed() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let stray = OpenChunk {
        run: key(9),
        ..OpenChunk::default()
    };
    machine.progress.open.insert(7, stray);
    let composed = compose(&mut machine, &topics);
    assert_eq!(kind(composed), Invariant::OpenChunkHasRunEntry);
}
