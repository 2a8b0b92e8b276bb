//! Which partitions the group has given to this member, and which of them it owns: pure but for the mutex around it.

use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Commit, Committed, Ownership, Token};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A partition that was given up by itself is offered again after this.
const OFFER_AGAIN: Duration = Duration::from_secs(1);

/// After the group has given out partitions for the first time, others may follow for so long.
const RETURN: Duration = Duration::from_secs(2);

/// Of the process: tokens never repeat, whichever membership they are of.
static LAST_TOKEN: AtomicU64 = AtomicU64::new(0);

/// One partition that the group has assigned to this member.
#[derive(Debug)]
struct Seat {
    /// `None`: it was given up or lost, and is not owned until it is offered again.
    token: Option<Token>,
    given_up: Instant,
    /// Another member waits for it.
    is_leaving: bool,
    /// What this ownership has committed last.
    written: Option<(Committed, Instant)>,
}

#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: BTreeMap<TopicPartition, Seat>,
    /// Owned when the group was left, and owned again if it gives them back.
    returning: BTreeMap<TopicPartition, Seat>,
    /// When the group first gave out something after it was joined again.
    assigned_at: Option<Instant>,
    /// The group is to be left and joined again, so that nothing that is under way can land.
    pub must_rejoin: bool,
    pub has_left: bool,
}

impl Seats {
    /// The group has assigned these.
    pub fn assign(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        if self.has_left || self.must_rejoin {
            return Vec::new();
        }
        self.assigned_at.get_or_insert_with(Instant::now);
        let mut gained = Vec::new();
        for at in at {
            match self.returning.remove(at) {
                Some(seat) => drop(self.seats.insert(*at, seat)),
                None => gained.push(self.gain(*at)),
            }
        }
        gained
    }

    /// The group is left and joined again; what is owned is kept until it is known what comes back.
    pub fn suspend(&mut self) -> Vec<Ownership> {
        self.must_rejoin = true;
        self.assigned_at = None;
        let mut uncertain = Vec::new();
        for (at, seat) in &mut self.seats {
            let kept = Seat {
                token: seat.token.take(),
                given_up: Instant::now(),
                is_leaving: false,
                written: seat.written.take(),
            };
            seat.given_up = Instant::now();
            if let Some(token) = kept.token {
                uncertain.push(Ownership::Uncertain { at: *at, token });
                self.returning.insert(*at, kept);
            }
        }
        uncertain
    }

    /// Everything that comes back has come.
    pub fn has_returned(&self) -> bool {
        let is_over = |at: Instant| !self.must_rejoin && at.elapsed() >= RETURN;
        self.has_left || self.returning.is_empty() || self.assigned_at.is_some_and(is_over)
    }

    /// What has not come back is lost.
    pub fn lose_the_rest(&mut self) -> Vec<Ownership> {
        let rest = std::mem::take(&mut self.returning).into_iter();
        let lost = rest.filter_map(|(at, seat)| {
            let token = seat.token?;
            Some(Ownership::Lost { at, token })
        });
        let lost = lost.collect();
        if self.has_left { Vec::new() } else { lost }
    }

    /// Owned, under which token, and what this ownership has written last.
    pub fn owned(&self) -> Vec<(TopicPartition, Token, Option<Committed>)> {
        let owned = self.seats.iter().filter_map(|(at, seat)| {
            let written = seat.written.as_ref().map(|(commit, _)| commit.clone());
            Some((*at, seat.token?, written))
        });
        owned.collect()
    }

    /// Tiers are there that were not: their partitions go with send's.
    pub fn add_topics(&mut self, topics: &[Topic]) -> Vec<Ownership> {
        let held = self.seats.iter();
        let held = held.filter(|(at, seat)| at.topic == Topic::Send && !seat.is_leaving);
        let wanted: Vec<TopicPartition> = held
            .flat_map(|(at, _)| topics.iter().map(|t| TopicPartition::new(*t, at.partition)))
            .filter(|at| !self.seats.contains_key(at))
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        self.assign(&wanted)
    }

    fn gain(&mut self, at: TopicPartition) -> Ownership {
        let token = LAST_TOKEN.fetch_add(1, Ordering::Relaxed) + 1;
        let seat = Seat {
            token: Some(token),
            given_up: Instant::now(),
            is_leaving: false,
            written: None,
        };
        self.seats.insert(at, seat);
        Ownership::Gained { at, token }
    }

    /// Assigned and not owned for a while: nobody else has it, so it is offered again under a new token.
    pub fn offer_again(&mut self) -> Vec<Ownership> {
        if self.has_left || self.must_rejoin {
            return Vec::new();
        }
        let idle = self.seats.iter().filter(|(_, seat)| {
            seat.token.is_none() && !seat.is_leaving && seat.given_up.elapsed() >= OFFER_AGAIN
        });
        let idle: Vec<TopicPartition> = idle.map(|(at, _)| *at).collect();
        idle.into_iter().map(|at| self.gain(at)).collect()
    }

    pub fn owns(&self, at: TopicPartition, token: Token) -> bool {
        let seat = self.seats.get(&at);
        seat.is_some_and(|seat| seat.token == Some(token))
    }

    /// False: it was not owned under this token.
    pub fn give_up(&mut self, at: TopicPartition, token: Token) -> bool {
        if self
            .returning
            .get(&at)
            .is_some_and(|seat| seat.token == Some(token))
        {
            self.returning.remove(&at);
            return true;
        }
        let seat = self.seats.get_mut(&at);
        let Some(seat) = seat.filter(|seat| seat.token == Some(token)) else {
            return false;
        };
        seat.token = None;
        seat.given_up = Instant::now();
        true
    }

    /// Others should have these: their owner is asked to give them up.
    pub fn ask_for(&mut self, wanted: &[TopicPartition]) -> Vec<Ownership> {
        let mut asked = Vec::new();
        for at in wanted {
            let Some(seat) = self.seats.get_mut(at) else {
                continue;
            };
            seat.is_leaving = true;
            let at = *at;
            asked.extend(seat.token.map(|token| Ownership::Losing { at, token }));
        }
        asked
    }

    pub fn owns_any(&self, of: &[TopicPartition]) -> bool {
        let mut seats = of.iter().filter_map(|at| self.seats.get(at));
        seats.any(|seat| seat.token.is_some())
    }

    /// Not assigned any more.
    pub fn take_away(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        let lost = self.lose(at);
        for at in at {
            self.seats.remove(at);
        }
        lost
    }

    fn lose(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        let mut lost = Vec::new();
        for at in at {
            let seat = self.seats.get_mut(at);
            let token = seat.and_then(|seat| seat.token.take());
            let at = *at;
            lost.extend(token.map(|token| Ownership::Lost { at, token }));
        }
        if self.has_left {
            return Vec::new();
        }
        lost
    }

    pub fn lose_one(&mut self, at: TopicPartition) -> Vec<Ownership> {
        if let Some(seat) = self.seats.get_mut(&at) {
            seat.given_up = Instant::now();
        }
        self.lose(&[at])
    }

    /// Nothing is owned any more, though the group may still think so.
    pub fn lose_all(&mut self) -> Vec<Ownership> {
        let all: Vec<TopicPartition> = self.seats.keys().copied().collect();
        for seat in self.seats.values_mut() {
            seat.given_up = Instant::now();
        }
        let mut lost = self.lose(&all);
        lost.extend(self.lose_the_rest());
        lost
    }

    pub fn assigned(&self) -> usize {
        self.seats.len()
    }

    pub fn wrote(&mut self, at: TopicPartition, commit: Committed) {
        if let Some(seat) = self.seats.get_mut(&at) {
            seat.written = Some((commit, Instant::now()));
        }
    }

    /// What is owned and was written longer ago than this.
    pub fn written_before(&self, age: Duration) -> Vec<Commit> {
        let old = self.seats.iter().filter_map(|(at, seat)| {
            let (written, since) = seat.written.as_ref()?;
            let token = seat.token.filter(|_| since.elapsed() >= age)?;
            Some(Commit {
                at: *at,
                token,
                offset: written.offset,
                text: written.text.clone(),
            })
        });
        old.collect()
    }

    pub fn written(&self, at: TopicPartition) -> Option<&Committed> {
        self.seats
            .get(&at)?
            .written
            .as_ref()
            .map(|(commit, _)| commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicPartition = TopicPartition::new(Topic::Send, 0);
    const B: TopicPartition = TopicPartition::new(Topic::Send, 1);

    fn token(change: &Ownership) -> Token {
        match change {
            Ownership::Gained { token, .. }
            | Ownership::Losing { token, .. }
            | Ownership::Uncertain { token, .. }
            | Ownership::Lost { token, .. } => *token,
        }
    }

    #[test]
    fn what_is_given_up_by_itself_is_offered_again_later() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A]);
        let first = token(&gained[0]);
        assert!(!seats.give_up(A, first + 1));
        assert!(seats.give_up(A, first) && !seats.give_up(A, first));
        assert_eq!(seats.offer_again(), []);
        if let Some(seat) = seats.seats.get_mut(&A) {
            seat.given_up = Instant::now() - OFFER_AGAIN;
        }
        let again = seats.offer_again();
        assert!(token(&again[0]) > first);
        assert!(seats.owns(A, token(&again[0])) && !seats.owns(A, first));
    }

    #[test]
    fn what_others_wait_for_is_asked_for_and_not_offered() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A, B]);
        assert_eq!(
            seats.ask_for(&[A]),
            [Ownership::Losing {
                at: A,
                token: token(&gained[0])
            }]
        );
        assert!(seats.owns_any(&[A]));
        seats.give_up(A, token(&gained[0]));
        assert!(!seats.owns_any(&[A]) && seats.owns_any(&[B]));
        assert_eq!(seats.take_away(&[A]), []);
        assert_eq!(seats.assigned(), 1);
        let lost = Ownership::Lost {
            at: B,
            token: token(&gained[1]),
        };
        assert_eq!(seats.take_away(&[B]), [lost]);
    }

    #[test]
    fn nothing_is_offered_while_the_group_is_joined_again() {
        let mut seats = Seats::default();
        seats.assign(&[A]);
        seats.must_rejoin = true;
        assert_eq!(seats.lose_all().len(), 1);
        assert_eq!(seats.assign(&[B]), []);
        assert_eq!(seats.offer_again(), []);
        seats.must_rejoin = false;
        assert_eq!(seats.assign(&[B]).len(), 1);
    }

    #[test]
    fn what_comes_back_after_the_group_was_left_is_owned_as_before() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A, B]);
        let commit = Committed {
            offset: 3,
            text: "x".to_string(),
        };
        seats.wrote(A, commit.clone());
        let uncertain = seats.suspend();
        assert!(matches!(
            uncertain[..],
            [Ownership::Uncertain { at: A, .. }, _]
        ));
        assert!(!seats.owns(A, token(&gained[0])) && !seats.has_returned());
        assert_eq!(seats.take_away(&[A, B]), []);
        seats.must_rejoin = false;
        assert_eq!(seats.assign(&[]), []);
        assert!(!seats.has_returned());
        assert_eq!(seats.assign(&[A]), []);
        assert_eq!(seats.owned(), [(A, token(&gained[0]), Some(commit))]);
        seats.assigned_at = Some(Instant::now() - RETURN);
        assert!(seats.has_returned());
        let lost = Ownership::Lost {
            at: B,
            token: token(&gained[1]),
        };
        assert_eq!(seats.lose_the_rest(), [lost]);
        assert_eq!(seats.lose_the_rest(), []);
    }

    #[test]
    fn what_is_given_up_meanwhile_does_not_come_back() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A]);
        seats.suspend();
        assert!(seats.give_up(A, token(&gained[0])) && seats.has_returned());
        seats.take_away(&[A]);
        seats.must_rejoin = false;
        assert!(token(&seats.assign(&[A])[0]) > token(&gained[0]));
    }

    #[test]
    fn a_new_tier_goes_with_send() {
        let mut seats = Seats::default();
        seats.assign(&[A, B]);
        seats.ask_for(&[B]);
        let tier = Topic::Retry(Duration::from_secs(60));
        let gained = seats.add_topics(&[Topic::Send, tier]);
        let at = TopicPartition::new(tier, 0);
        assert!(matches!(gained[..], [Ownership::Gained { at: a, .. }] if a == at));
        assert_eq!(seats.add_topics(&[Topic::Send, tier]), []);
    }

    #[test]
    fn what_was_written_long_ago_is_named() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A, B]);
        let commit = Committed {
            offset: 3,
            text: "x".to_string(),
        };
        seats.wrote(A, commit);
        assert_eq!(seats.written_before(Duration::from_secs(60)), []);
        let old = seats.written_before(Duration::ZERO);
        assert_eq!((old.len(), old[0].at, old[0].offset), (1, A, 3));
        seats.give_up(A, token(&gained[0]));
        assert_eq!(seats.written_before(Duration::ZERO), []);
    }

    #[test]
    fn who_has_left_hears_nothing() {
        let mut seats = Seats::default();
        let gained = seats.assign(&[A]);
        seats.has_left = true;
        assert_eq!(seats.lose_all(), []);
        assert!(!seats.owns(A, token(&gained[0])));
        assert_eq!(seats.assign(&[B]), []);
    }
}
