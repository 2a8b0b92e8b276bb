//! Tests of `history`.

use super::*;
use crate::domain::ids::RunKey;

const LOW: Rank = rank(0, 5);
const HIGH: Rank = rank(0, 6);

const fn rank(hop: u32, epoch: u64) -> Rank {
    Rank {
        round: 0,
        hop,
        epoch,
    }
}

fn event(kind: EventType, rank: Rank, is_final: bool) -> Fact<'static> {
    Fact::Event(EventFact {
        rank,
        kind,
        is_final,
        is_earlier: false,
        is_worker_lost: false,
        detail: Detail::None,
    })
}

fn end(end: Final, rank: Rank) -> Fact<'static> {
    event(end.into(), rank, true)
}

fn queued(kind: PlaceKind) -> Fact<'static> {
    Fact::Queued {
        kind,
        is_unread: false,
        address: "",
    }
}

fn moving(hop: u32) -> Fact<'static> {
    Fact::Moving {
        kind: PlaceKind::Pending,
        round: 0,
        hop,
        address: "",
    }
}

fn letter(round: u32, in_doubt: bool) -> Fact<'static> {
    Fact::Letter { round, in_doubt }
}

fn named(round: u32, is_replayed: bool) -> Fact<'static> {
    Fact::Named {
        round,
        in_doubt: false,
        replay: is_replayed.then_some(RunKey(7)),
    }
}

fn state(facts: &[Fact<'_>]) -> RecipientState {
    History::of(facts).state()
}

#[test]
fn the_highest_rank_counts() {
    let facts = [
        end(Final::Bounced, HIGH),
        end(Final::Delivered, rank(1, 1)),
        end(Final::Dead, LOW),
    ];
    assert_eq!(state(&facts), RecipientState::Ended(Final::Delivered));
    assert_eq!(state(&[]), RecipientState::Unknown);
    assert_eq!(
        state(&[event(EventType::Deferred, HIGH, false)]),
        RecipientState::Unknown
    );
}

#[test]
fn an_event_that_is_repeated_is_one() {
    let facts = [end(Final::Delivered, LOW), end(Final::Delivered, LOW)];
    let history = History::of(&facts);
    assert_eq!((history.attempts(), history.contradiction()), (1, None));
}

#[test]
fn two_ends_of_one_rank_contradict_whatever_counts() {
    for higher in [vec![], vec![end(Final::Bounced, HIGH)]] {
        let two = [end(Final::Expired, LOW), end(Final::Bounced, LOW)];
        assert!(
            History::of(&[higher, two.to_vec()].concat())
                .contradiction()
                .is_some()
        );
    }
}

#[test]
fn a_second_delivery_needs_an_in_doubt_event_before_it() {
    let cases = [
        (None, true),
        (Some(LOW), true),
        (Some(HIGH), false),
        (Some(rank(0, 7)), true),
    ];
    for (doubt, is_wrong) in cases {
        let mut facts = vec![end(Final::Delivered, HIGH), end(Final::Delivered, LOW)];
        facts.extend(doubt.map(|rank| event(EventType::InDoubt, rank, false)));
        let found = History::of(&facts).contradiction().is_some();
        assert_eq!(found, is_wrong, "{doubt:?}");
    }
    let facts = [
        end(Final::Delivered, LOW),
        end(Final::InDoubt, rank(1, 1)),
        end(Final::Delivered, rank(2, 1)),
    ];
    assert_eq!(History::of(&facts).contradiction(), None);
}

#[test]
fn a_place_in_the_queue_counts_before_an_event_that_is_not_committed() {
    let delivered = end(Final::Delivered, LOW);
    let retrying = queued(PlaceKind::Retrying);
    assert_eq!(
        state(&[retrying, delivered]),
        RecipientState::Queued(PlaceKind::Retrying)
    );
    assert!(!History::of(&[retrying]).is_queued_twice());
    assert!(History::of(&[retrying, queued(PlaceKind::Pending)]).is_queued_twice());
    assert!(History::of(&[retrying, retrying]).is_queued_twice());
}

#[test]
fn what_moves_may_be_where_it_goes_already() {
    let pending = RecipientState::Queued(PlaceKind::Pending);
    assert_eq!(state(&[moving(0), end(Final::Dead, rank(0, 9))]), pending);
    assert_eq!(
        state(&[moving(0), end(Final::Delivered, rank(1, 1))]),
        RecipientState::Ended(Final::Delivered)
    );
    assert_eq!(
        state(&[moving(0), queued(PlaceKind::Retrying)]),
        RecipientState::Queued(PlaceKind::Retrying)
    );
}

#[test]
fn an_unread_message_that_had_ended_before_is_noticed() {
    let unread = |is_unread| Fact::Queued {
        kind: PlaceKind::Pending,
        is_unread,
        address: "",
    };
    let ended = |is_earlier| {
        Fact::Event(EventFact {
            rank: LOW,
            kind: EventType::Bounced,
            is_final: true,
            is_earlier,
            is_worker_lost: false,
            detail: Detail::None,
        })
    };
    for (is_unread, is_earlier) in [(true, true), (true, false), (false, true)] {
        let history = History::of(&[unread(is_unread), ended(is_earlier)]);
        assert_eq!(history.ended_before_it_was_read(), is_unread && is_earlier);
    }
}

#[test]
fn dead_recipients_and_letters_go_together() {
    let dead = end(Final::Dead, LOW);
    let has_letter = |facts: &[Fact<'_>]| History::of(facts).has_letter(LOW, Final::Dead);
    let strays = |facts: &[Fact<'_>]| History::of(facts).stray_letters().count();
    assert!(!has_letter(&[dead]));
    assert!(has_letter(&[dead, letter(0, false)]));
    assert!(has_letter(&[dead, named(0, false)]), "purged");
    for wrong in [letter(0, true), letter(1, false)] {
        assert!(!has_letter(&[dead, wrong]));
        assert_eq!(strays(&[dead, wrong]), 1);
    }
    assert!(!has_letter(&[dead, named(1, false)]));
    assert_eq!(strays(&[dead, letter(0, false)]), 0);
    assert_eq!(strays(&[letter(0, false)]), 1);
    assert_eq!(strays(&[letter(0, false), named(0, true)]), 0, "void");
    assert_eq!(strays(&[letter(1, false), named(0, true)]), 1);
    assert_eq!(strays(&[letter(0, false), queued(PlaceKind::Pending)]), 0);
}

#[test]
fn a_letter_that_was_sent_again_is_no_end() {
    let dead = end(Final::Dead, LOW);
    assert_eq!(state(&[dead, named(0, true)]), RecipientState::Replayed);
    assert_eq!(
        state(&[dead, named(0, true), queued(PlaceKind::Pending)]),
        RecipientState::Queued(PlaceKind::Pending)
    );
    let again = Rank {
        round: 1,
        ..Rank::default()
    };
    assert_eq!(
        state(&[dead, named(0, true), end(Final::Dead, again)]),
        RecipientState::Ended(Final::Dead)
    );
}

#[test]
fn reply_and_time_are_those_of_the_last_event() {
    let told = |kind, rank, reply: &'static str| {
        Fact::Event(EventFact {
            rank,
            kind,
            is_final: false,
            is_earlier: false,
            is_worker_lost: false,
            detail: Detail::Text {
                address: "a@example.org",
                reply: Some(reply),
                when: "2026-01-01T00:00:00Z",
            },
        })
    };
    let history = History::of(&[
        told(EventType::Delivered, rank(1, 1), "250 ok"),
        told(EventType::Deferred, HIGH, "451 later"),
    ]);
    assert_eq!(history.address(), "a@example.org");
    let when = Some("2026-01-01T00:00:00Z");
    assert_eq!(history.last_reply(), (Some("250 ok"), when));
    assert_eq!(history.attempts(), 2);
}
