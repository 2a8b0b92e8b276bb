//! What the history of a recipient says of its message at one place on its way. Pure.

use crate::domain::counters::Final;
use crate::domain::event::EventType;
use crate::domain::ids::RunKey;
use crate::engine::read_model::fact::{Detail, Fact};
use crate::engine::read_model::history::{History, ends_as, needs_letter};

/// A place on a message's way: in one round, after so many moves. Later places compare higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stay {
    pub round: u32,
    pub hop: u32,
}

/// What became of the message there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StayEnd {
    Ended(Final),
    Moved,
    /// The relay has answered, and what was decided then is not durable: the message is tried again.
    Answered,
}

/// `None`: nothing tells.
pub fn stay_end(history: &History, stay: Stay) -> Option<StayEnd> {
    let mut ended = None;
    let mut is_answered = false;
    for event in history.events().filter(|event| of(event.rank) == stay) {
        match event.kind.end().filter(|_| event.is_final) {
            // Events are in the order of their epochs.
            Some(end) => ended = Some(end),
            // Written by the next owner, who may have claimed the message since.
            None if event.kind == EventType::InDoubt && event.is_worker_lost => {}
            None => is_answered = true,
        }
    }
    match (ended, letter(history, stay.round)) {
        (Some(end), Some(in_doubt)) if needs_letter(end) => Some(StayEnd::Ended(ends_as(in_doubt))),
        _ if farthest(history).is_some_and(|farthest| farthest > stay) => Some(StayEnd::Moved),
        // Without its letter a death is only decided.
        (Some(end), None) if needs_letter(end) => Some(StayEnd::Answered),
        (Some(end), _) => Some(StayEnd::Ended(end)),
        (None, _) => is_answered.then_some(StayEnd::Answered),
    }
}

/// The farthest place at which anything of the message was found.
pub fn farthest(history: &History) -> Option<Stay> {
    let stays = history.facts().filter_map(|fact| match fact {
        Fact::Event(event) => Some(of(event.rank)),
        Fact::Copied { round, hop } => Some(Stay { round, hop }),
        _ => None,
    });
    stays.max()
}

/// Where the message ended in a partition (`topic/partition`), each place once. Where it has moved on, and an event of
/// an earlier owner says that it ended, it ended elsewhere.
pub fn ends_in(history: &History, partition: &str) -> Vec<(Stay, Final)> {
    let mut last: Vec<(Stay, &str)> = Vec::new();
    for (event, _) in history.ends() {
        let Detail::Partition(at) = event.detail else {
            continue;
        };
        last.retain(|(stay, _)| *stay != of(event.rank));
        last.push((of(event.rank), at));
    }
    last.retain(|(_, at)| *at == partition);
    let ends = last.into_iter().map(|(stay, _)| stay);
    ends.filter_map(|stay| match stay_end(history, stay) {
        Some(StayEnd::Ended(end)) => Some((stay, end)),
        _ => None,
    })
    .collect()
}

/// The replay whose chunks the message came in; `None`: it came in those of its own run.
pub fn replay(history: &History, round: u32) -> Option<RunKey> {
    history.facts().find_map(|fact| match fact {
        Fact::Named {
            round: before,
            replay: Some(run),
            ..
        } if before.checked_add(1) == Some(round) => Some(run),
        _ => None,
    })
}

/// Whether the letter of a round is one in doubt; `None`: there never was one. A letter in the dlq says more than the
/// name that a replay or purge has given it.
fn letter(history: &History, wanted: u32) -> Option<bool> {
    let letters = history.facts().filter_map(|fact| match fact {
        Fact::Named {
            round, in_doubt, ..
        }
        | Fact::Letter { round, in_doubt }
            if round == wanted =>
        {
            Some(in_doubt)
        }
        _ => None,
    });
    letters.last()
}

fn of(rank: crate::engine::read_model::fact::Rank) -> Stay {
    Stay {
        round: rank.round,
        hop: rank.hop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::read_model::fact::{EventFact, Rank};

    const HERE: Stay = Stay { round: 0, hop: 1 };

    fn event(kind: EventType, hop: u32, epoch: u64, is_worker_lost: bool) -> Fact<'static> {
        let partition = if epoch < 9 { "send/0" } else { "retry-60s/0" };
        Fact::Event(EventFact {
            rank: Rank {
                round: 0,
                hop,
                epoch,
            },
            kind,
            is_final: !matches!(kind, EventType::Deferred | EventType::InDoubt),
            is_earlier: false,
            is_worker_lost,
            detail: Detail::Partition(partition),
        })
    }

    fn here(kind: EventType, epoch: u64) -> Fact<'static> {
        event(kind, HERE.hop, epoch, false)
    }

    fn end(facts: &[Fact<'_>]) -> Option<StayEnd> {
        stay_end(&History::of(facts), HERE)
    }

    #[test]
    fn an_end_is_that_of_the_highest_epoch_at_this_place() {
        assert_eq!(end(&[]), None);
        let facts = [
            here(EventType::Bounced, 2),
            here(EventType::Delivered, 3),
            event(EventType::Expired, 0, 8, false),
        ];
        assert_eq!(end(&facts), Some(StayEnd::Ended(Final::Delivered)));
    }

    #[test]
    fn what_was_found_farther_on_has_moved() {
        let moved = Some(StayEnd::Moved);
        let copied = Fact::Copied { round: 0, hop: 2 };
        assert_eq!(end(&[copied]), moved);
        assert_eq!(end(&[here(EventType::Deferred, 1), copied]), moved);
        assert_eq!(end(&[here(EventType::Delivered, 1), copied]), moved);
        assert_eq!(end(&[Fact::Copied { round: 0, hop: 1 }]), None);
        let later = Fact::Copied { round: 1, hop: 0 };
        assert_eq!(end(&[later]), moved);
    }

    #[test]
    fn a_death_is_carried_out_where_there_is_its_letter() {
        let dead = here(EventType::Dead, 1);
        let letter = |in_doubt| Fact::Letter { round: 0, in_doubt };
        let ended = |end| Some(StayEnd::Ended(end));
        assert_eq!(end(&[dead]), Some(StayEnd::Answered));
        assert_eq!(end(&[dead, letter(false)]), ended(Final::Dead));
        assert_eq!(end(&[dead, letter(true)]), ended(Final::InDoubt));
        let named = Fact::Named {
            round: 0,
            in_doubt: false,
            replay: Some(RunKey(7)),
        };
        let copied = Fact::Copied { round: 1, hop: 0 };
        assert_eq!(end(&[dead, named, copied]), ended(Final::Dead));
        let other = Fact::Letter {
            round: 1,
            in_doubt: false,
        };
        assert_eq!(end(&[dead, other]), Some(StayEnd::Answered));
    }

    #[test]
    fn an_answer_is_tried_again_and_a_lost_worker_is_no_answer() {
        assert_eq!(
            end(&[here(EventType::Deferred, 1)]),
            Some(StayEnd::Answered)
        );
        assert_eq!(end(&[here(EventType::InDoubt, 1)]), Some(StayEnd::Answered));
        assert_eq!(end(&[event(EventType::InDoubt, 1, 1, true)]), None);
    }

    #[test]
    fn ends_are_counted_where_the_highest_epoch_has_them() {
        let ends = |facts: &[Fact<'_>], at| ends_in(&History::of(facts), at);
        let facts = [here(EventType::Bounced, 2), here(EventType::Delivered, 9)];
        assert_eq!(ends(&facts, "send/0"), []);
        assert_eq!(ends(&facts, "retry-60s/0"), [(HERE, Final::Delivered)]);
        let moved = [
            here(EventType::Bounced, 2),
            Fact::Copied { round: 0, hop: 2 },
        ];
        assert_eq!(ends(&moved, "send/0"), []);
    }

    #[test]
    fn a_round_above_the_first_came_in_a_replay() {
        let named = |round, run| Fact::Named {
            round,
            in_doubt: false,
            replay: Some(RunKey(run)),
        };
        let history = History::of(&[named(0, 7), named(1, 8)]);
        let found = [0, 1, 2, 3].map(|round| replay(&history, round));
        assert_eq!(found, [None, Some(RunKey(7)), Some(RunKey(8)), None]);
    }
}
