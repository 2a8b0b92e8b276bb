//! One partition step by step: what is committed, appended and handed over, in which order.

mod bases;
mod invariants;
mod topics;
mod turns;

use super::*;
use crate::domain::counters::Final;
use crate::domain::event::EventType;
use crate::domain::records::{CampaignRecord, InDoubtPolicy, LeftEntry};
use crate::protocol::ledger::Ledger;
use crate::protocol::progress::{BaseId, LetterKind, MAX_RUNS, RunEntry};
use topics::*;

/// Few, so that a test can open as many.
const MAX_OPEN: usize = 4;

#[test]
fn a_take_over_commits_its_epoch_and_settles_old_claims_before_it_claims() {
    let topics = Topics::of_run(0);
    let (_, text) = claimed_two(&topics);
    let mut machine = gain(SEND, Some((0, text)));
    assert!(machine.is_fencing());
    assert!(topics.at(0, |view| machine.want(view)).is_none());
    let effects = topics.at(0, |view| machine.effects(view)).unwrap();
    assert!(effects.is_empty());
    let draft = topics
        .at(0, |view| machine.prepare_and_compose(view, limits(9, None)))
        .unwrap()
        .unwrap();
    assert!(draft.text.starts_with("mq2;e2,w;"), "{}", draft.text);
    assert!(machine.committed().unwrap().is_empty());
    let wanted = topics.at(0, |view| machine.want(view));
    assert_eq!(wanted, Some(Want::Contents(0)));
    supply(&mut machine, chunk(1, &[0, 1, 2, 3], None));
    let (effects, claimed) = cycle(&mut machine, &topics, 0, 9);
    assert_eq!(kinds(&effects), [EventType::InDoubt; 2]);
    assert!(effects.events.iter().all(|event| !event.outcome.is_final()));
    assert!(claimed.is_empty(), "claimed before the second commit");
    assert_eq!(machine.uncommitted(), 0);
    let (_, claimed) = cycle(&mut machine, &topics, 0, 9);
    assert_eq!(claimed.len(), 4);
}

#[test]
fn an_old_claim_of_a_holding_or_cancelled_run_stays_claimed_until_its_letter_is_durable() {
    for is_cancelled in [true, false] {
        let mut topics = Topics::new();
        topics.manifest(1, 0, |manifest| {
            manifest.in_doubt = if is_cancelled {
                InDoubtPolicy::Resend
            } else {
                InDoubtPolicy::Hold
            };
        });
        topics.seal(1, 0);
        let (_, text) = claimed_two(&topics);
        if is_cancelled {
            topics.cancel(1);
        }
        let mut machine = owned(SEND, Some((0, text)), &topics);
        supply(&mut machine, chunk(1, &[0, 1, 2, 3], None));
        let (effects, _) = cycle(&mut machine, &topics, 0, 0);
        assert!(effects.events.iter().all(|event| event.outcome.is_final()));
        let moving = machine.progress().moving.clone().unwrap();
        assert_eq!(moving.target, Target::Letter(LetterKind::InDoubt));
        assert_eq!(machine.uncommitted(), 2);
        let (effects, _) = cycle(&mut machine, &topics, 0, 0);
        assert_eq!(
            references(&effects.move_record.unwrap().messages),
            [reference(0, 0), reference(0, 1)]
        );
        assert_eq!(counted(&machine, Final::InDoubt), 2);
        assert_eq!(machine.uncommitted(), 0);
    }
}

#[test]
fn a_move_is_decided_by_one_commit_and_done_by_a_later_one() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    report(&mut machine, reference(0, 0), DEFERRED);
    report(&mut machine, reference(0, 1), Some(Outcome::Dead));
    let (effects, _) = cycle(&mut machine, &topics, 0, 0);
    assert_eq!(kinds(&effects), [EventType::Deferred, EventType::Dead]);
    assert!(
        effects.move_record.is_none(),
        "copied before it was decided"
    );
    let moving = machine.progress().moving.clone().unwrap();
    assert_eq!((moving.number, moving.target), (1, Target::Retry(SECOND)));
    let text = machine.progress().text();

    let (effects, _) = cycle(&mut machine, &topics, 0, 0);
    assert_eq!(
        references(&effects.move_record.unwrap().messages),
        [reference(0, 0)]
    );
    let moving = machine.progress().moving.clone().unwrap();
    assert_eq!(moving.number, 2, "one at a time, one number each");
    cycle(&mut machine, &topics, 0, 0);
    let entry = machine.progress().runs[&key(1)];
    assert_eq!(
        (entry.counters.moved, entry.counters.get(Final::Dead)),
        (1, 1)
    );
    assert_eq!(
        (machine.progress().last_move, &machine.progress().moving),
        (2, &None)
    );

    // The next owner repeats what was decided, under the same number, and keeps the numbers.
    let mut next = owned(SEND, Some((0, text)), &topics);
    supply(&mut next, chunk(1, &[0, 1, 2, 3], None));
    cycle(&mut next, &topics, 0, 0);
    let (effects, _) = cycle(&mut next, &topics, 0, 0);
    let copy = effects.move_record.unwrap();
    assert_eq!(
        (copy.decided.number, references(&copy.messages)),
        (1, vec![reference(0, 0)])
    );
    let text = next.progress().text();
    assert_eq!(gain(SEND, Some((0, text))).progress().last_move, 1);
}

#[test]
fn a_paused_run_leaves_as_it_was_acknowledged_and_comes_back_exactly() {
    let mut topics = Topics::of_run(3);
    let (mut machine, _) = claimed_two(&topics);
    topics.pause(1, true);
    let (effects, _) = cycle(&mut machine, &topics, 0, 9);
    assert!(effects.left.is_empty(), "left with claims");
    report(
        &mut machine,
        reference(0, 0),
        Some(Outcome::Ended(Final::Delivered)),
    );
    report(&mut machine, reference(0, 1), None);
    let (effects, _) = cycle(&mut machine, &topics, 0, 9);
    assert!(
        effects.left.is_empty(),
        "left before the commit that says so"
    );
    let before = machine.progress().clone();
    let (effects, _) = cycle(&mut machine, &topics, 0, 9);
    let left: LeftEntry = effects.left.first().unwrap().clone();
    assert!(machine.progress().runs.is_empty() && machine.progress().open.is_empty());
    topics.append(CampaignRecord::Left(left));
    cycle(&mut machine, &topics, 0, 9);
    assert!(machine.progress().runs.is_empty());
    topics.pause(1, false);
    cycle(&mut machine, &topics, 0, 0);
    assert_eq!(machine.progress().runs, before.runs);
    let done = |progress: &Progress| progress.open[&0].done.clone();
    assert_eq!(done(machine.progress()), done(&before));
}

#[test]
fn rows_seen_before_are_done_and_not_counted() {
    let topics = Topics::of_run(9);
    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, chunk(1, &[0, 1, 2], None));
    cycle(&mut machine, &topics, 0, 0);
    read(&mut machine, 1, chunk(1, &[0, 1], None));
    cycle(&mut machine, &topics, 0, 0);
    assert!(!machine.progress().open.contains_key(&1));
    read(&mut machine, 2, chunk(1, &[1, 2, 3], None));
    cycle(&mut machine, &topics, 0, 0);
    let done: Vec<usize> = machine.progress().open[&2].done.iter().collect();
    assert_eq!(done, [0, 1]);
    let entry = machine.progress().runs[&key(1)];
    assert_eq!(
        (entry.counters.left(), entry.last_row, entry.next),
        (0, Some(3), 3)
    );
}

#[test]
fn suppressed_and_expired_messages_end_without_a_claim() {
    let mut topics = Topics::new();
    topics.manifest(1, 0, |manifest| manifest.expires_after_seconds = Some(10));
    topics.seal(1, 0);
    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, chunk(1, &[0, 99], None));
    let (_, claimed) = cycle(&mut machine, &topics, 9, 0);
    assert!(claimed.is_empty());
    let (effects, claimed) = cycle(&mut machine, &topics, 9, 9);
    assert_eq!(kinds(&effects), [EventType::Suppressed]);
    assert_eq!(claimed, [reference(0, 0)]);
    report(&mut machine, reference(0, 0), None);
    let (effects, claimed) = cycle(&mut machine, &topics, 10, 9);
    assert!(effects.events.is_empty() && claimed.is_empty());
    let (effects, _) = cycle(&mut machine, &topics, 10, 9);
    assert_eq!(kinds(&effects), [EventType::Expired]);
    assert_eq!(
        (
            counted(&machine, Final::Suppressed),
            counted(&machine, Final::Expired)
        ),
        (1, 1)
    );
    assert!(machine.progress().open.is_empty());
}

#[test]
fn a_cancelled_run_ends_its_open_messages_and_is_not_read_further() {
    let mut topics = Topics::of_run(5);
    let (mut machine, _) = claimed_two(&topics);
    topics.cancel(1);
    topics.pause(1, false);
    let (effects, claimed) = cycle(&mut machine, &topics, 0, 9);
    assert_eq!(kinds(&effects), [EventType::Cancelled; 2]);
    assert!(claimed.is_empty());
    assert!(topics.at(0, |view| machine.want(view)).is_none());
    assert_eq!(machine.progress().runs[&key(1)].next, 6);
    // Whoever replaces the run reads from the commit that its owner knows.
    let known = topics.at(0, |view| view.ledger.cancels_below());
    assert!(known > 0 && machine.progress().cancels_below == known);
    report(
        &mut machine,
        reference(0, 0),
        Some(Outcome::Ended(Final::Delivered)),
    );
    cycle(&mut machine, &topics, 0, 9);
    assert_eq!(counted(&machine, Final::Delivered), 1);
}

#[test]
fn a_tier_is_read_when_due_and_each_move_once() {
    let topics = Topics::of_run(0);
    let mut machine = owned(TIER, None, &topics);
    for (offset, number) in [(0, 1), (1, 1), (2, 2), (3, 1)] {
        let wanted = topics.at(0, |view| machine.want(view));
        assert_eq!(wanted, Some(Want::NextOfTier { from: offset }));
        read(&mut machine, offset, chunk(1, &[0], Some((SEND, number))));
        // The delay is 60 s and the jitter a tenth of it.
        cycle(&mut machine, &topics, 53, 9);
        assert_eq!(machine.progress().next, offset, "opened before it was due");
        cycle(&mut machine, &topics, 61, 0);
    }
    let open: Vec<Offset> = machine.progress().open.keys().copied().collect();
    assert_eq!(open, [0, 2]);
    assert_eq!(machine.progress().seen[&SEND], 2);
}

#[test]
fn jitter_spreads_a_full_chunk_over_both_sides_of_the_delay() {
    let topics = Topics::of_run(0);
    let mut machine = owned(TIER, None, &topics);
    let rows: Vec<u64> = (1_000..1_500).collect();
    read(&mut machine, 0, chunk(1, &rows, Some((SEND, 1))));
    cycle(&mut machine, &topics, 53, 0);
    assert!(machine.progress().open.is_empty());
    let due = |machine: &mut Machine, seconds| {
        cycle(machine, &topics, seconds, 0);
        topics.at(seconds, |view| machine.claimable(view, 1_000))
    };
    assert!((1..=10).contains(&due(&mut machine, 54)));
    assert!((240..=260).contains(&due(&mut machine, 60)));
    assert_eq!(due(&mut machine, 66), 500);
}

#[test]
fn chunks_of_a_tier_are_read_while_others_wait_for_their_time() {
    let topics = Topics::of_run(0);
    let mut machine = owned(TIER, None, &topics);
    machine.rules.max_open = 20;
    for offset in 0..20 {
        let wanted = topics.at(54, |view| machine.want(view));
        assert_eq!(wanted, Some(Want::NextOfTier { from: offset }));
        let number = offset + 1;
        read(
            &mut machine,
            offset,
            chunk(1, &[number], Some((SEND, number))),
        );
        cycle(&mut machine, &topics, 54, 0);
    }
    assert_eq!(machine.progress().open.len(), 20);
}

#[test]
fn a_tier_is_not_read_on_while_thousands_of_messages_wait_for_their_time() {
    let topics = Topics::of_run(0);
    let mut machine = owned(TIER, None, &topics);
    machine.rules.max_open = 20;
    for offset in 0..16 {
        let wanted = topics.at(54, |view| machine.want(view));
        assert_eq!(wanted, Some(Want::NextOfTier { from: offset }));
        let first = 256 * (offset + 1);
        let rows: Vec<u64> = (first..first + 256).collect();
        read(
            &mut machine,
            offset,
            chunk(1, &rows, Some((SEND, offset + 1))),
        );
        cycle(&mut machine, &topics, 54, 0);
    }
    assert_eq!(machine.progress().open.len(), 16);
    assert_eq!(topics.at(54, |view| machine.want(view)), None);
    // One message is due.
    let (_, claimed) = cycle(&mut machine, &topics, 54, 1);
    let delivered = Some(Outcome::Ended(Final::Delivered));
    report(&mut machine, claimed[0], delivered);
    cycle(&mut machine, &topics, 54, 0);
    let wanted = topics.at(54, |view| machine.want(view));
    assert_eq!(wanted, Some(Want::NextOfTier { from: 16 }));
}

#[test]
fn jitter_spreads_messages_of_small_chunks_over_both_sides_of_the_delay() {
    let topics = Topics::of_run(0);
    let machine = owned(TIER, None, &topics);
    let mut tenths = [0; 10];
    for offset in 0..200 {
        let due = machine.due(offset, day()).unwrap();
        // The delay is 60 s and the jitter a tenth of it.
        let wait = due.at(0).duration_since(day() + SECOND * 54).unwrap();
        tenths[(wait.as_secs_f64() / 1.2) as usize] += 1;
    }
    assert!(
        tenths.iter().all(|count| (15..=25).contains(count)),
        "{tenths:?}"
    );
}

#[test]
fn the_offset_is_never_raised_past_a_needed_record() {
    let mut topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    let offset = |machine: &mut Machine, topics: &Topics, end| {
        let effects = topics.at(0, |view| machine.effects(view)).unwrap();
        machine.effects_durable(effects).unwrap();
        let draft = topics.at(0, |view| {
            machine.prepare_and_compose(view, limits(0, Some(end)))
        });
        let offset = draft.unwrap().map(|draft| draft.offset);
        machine.committed().unwrap();
        offset
    };
    topics.manifest(2, 1, |_| ());
    report(
        &mut machine,
        reference(0, 0),
        Some(Outcome::Ended(Final::Delivered)),
    );
    report(
        &mut machine,
        reference(0, 1),
        Some(Outcome::Ended(Final::Delivered)),
    );
    assert_eq!(offset(&mut machine, &topics, 9), Some(0), "a chunk is open");
    let (_, claimed) = cycle(&mut machine, &topics, 0, 9);
    for reference in claimed {
        report(
            &mut machine,
            reference,
            Some(Outcome::Ended(Final::Bounced)),
        );
    }
    assert_eq!(
        offset(&mut machine, &topics, 9),
        Some(1),
        "run 2 is not sealed"
    );
    topics.seal(2, 4);
    cycle(&mut machine, &topics, 0, 0);
    assert_eq!(machine.offset, 1, "run 2 is not read");
    topics.cancel(2);
    cycle(&mut machine, &topics, 0, 0);
    let Some(left) = Some(machine.progress()).filter(|progress| progress.runs.is_empty()) else {
        panic!("a finished run stays: {:?}", machine.progress());
    };
    assert!(left.open.is_empty());
}

#[test]
fn runs_take_turns_message_by_message() {
    let mut topics = Topics::of_run(0);
    topics.manifest(2, 1, |_| ());
    topics.seal(2, 1);
    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, chunk(1, &[0, 1, 2, 3], None));
    cycle(&mut machine, &topics, 0, 0);
    read(&mut machine, 1, chunk(2, &[0, 1, 2, 3], None));
    let (_, claimed) = cycle(&mut machine, &topics, 0, 4);
    let of_first = claimed
        .iter()
        .filter(|reference| reference.offset == 0)
        .count();
    assert_eq!((of_first, claimed.len()), (2, 4));
}

#[test]
fn a_commit_has_no_more_chunks_and_runs_than_fit() {
    let mut topics = Topics::new();
    for number in 0..12 {
        topics.manifest(number, number, |_| ());
        topics.seal(number, number);
    }
    let mut machine = owned(SEND, None, &topics);
    for number in 0..12 {
        if machine.staged.is_empty() {
            read(&mut machine, number, chunk(number, &[0], None));
        }
        cycle(&mut machine, &topics, 0, 0);
        assert!(machine.progress().open.len() <= MAX_OPEN);
        assert!(machine.progress().runs.len() <= MAX_RUNS);
    }
    assert_eq!(machine.progress().open.len(), MAX_OPEN);
    assert!(topics.at(0, |view| machine.want(view)).is_none());
}

#[test]
fn a_drain_claims_nothing_and_finishes_messages_in_flight() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    machine.drain();
    let (_, claimed) = cycle(&mut machine, &topics, 0, 9);
    assert!(claimed.is_empty() && !machine.is_drained());
    report(&mut machine, reference(0, 0), DEFERRED);
    cycle(&mut machine, &topics, 0, 9);
    assert!(!machine.is_drained(), "a move is under way");
    report(&mut machine, reference(0, 1), None);
    cycle(&mut machine, &topics, 0, 9);
    cycle(&mut machine, &topics, 0, 9);
    assert!(machine.is_drained());
    assert_eq!(machine.uncommitted(), 0);
    assert_eq!(machine.progress().open[&0].done.count(), 1);
}

#[test]
fn an_answer_without_its_event_is_returned_when_the_machine_is_dropped() {
    let topics = Topics::of_run(0);
    let (mut machine, _) = claimed_two(&topics);
    report(
        &mut machine,
        reference(0, 0),
        Some(Outcome::Ended(Final::Delivered)),
    );
    let reports = machine.abandon();
    assert_eq!(reports.len(), 1);
    let message = &reports[0].message;
    assert_eq!((message.run, message.epoch, message.at), (key(1), 1, SEND));
    assert_eq!(message.message.line.row, 0);
}

#[test]
fn the_first_seal_counts_and_none_after_a_cancel() {
    let mut topics = Topics::of_run(3);
    topics.seal(1, 9);
    let run = topics.ledger.run(key(1)).unwrap();
    assert_eq!((run.last(0), run.is_complete()), (Some(3), true));
    topics.manifest(2, 4, |_| ());
    topics.cancel(2);
    topics.seal(2, 5);
    assert!(topics.ledger.run(key(2)).unwrap().seal.is_none());
}
