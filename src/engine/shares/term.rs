//! How long a view of the workers lasts, and when a share may grow. A pure state machine over boot time.

use super::split::{Place, Portion};
use crate::domain::rate::Rate;
use std::collections::VecDeque;
use std::time::Duration;

/// How often every worker looks: one request.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A view lasts this long, counted from before it was read; a share grows when views have shown it for this long,
/// counted from after the first was read: two further looks. What a worker that came, went or was killed had is idle for
/// as long, so it is short; a look that takes half of it does no harm.
pub const VIEW_LASTS: Duration = Duration::from_secs(4);

/// What one worker has seen of its place.
#[derive(Debug, Clone, Default)]
pub struct Term {
    /// Oldest first: the newest that has been known for [`VIEW_LASTS`], and all after it.
    seen: VecDeque<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    read_at: Duration,
    known_at: Duration,
    /// `None`: this worker is not among those that share.
    place: Option<Place>,
}

impl Term {
    /// A view that was asked for at `read_at` and came at `known_at`.
    pub fn see(&mut self, read_at: Duration, known_at: Duration, place: Option<Place>) {
        if self.ends_at() < known_at {
            self.seen.clear();
        }
        self.seen.push_back(Seen {
            read_at,
            known_at,
            place,
        });
        let is_settled = |seen: &Seen| seen.known_at + VIEW_LASTS <= known_at;
        while self.seen.get(1).is_some_and(is_settled) {
            self.seen.pop_front();
        }
    }

    /// Nothing may be used from then on, unless there is another view.
    pub fn ends_at(&self) -> Duration {
        self.seen
            .back()
            .map_or(Duration::ZERO, |last| last.read_at + VIEW_LASTS)
    }

    /// The newest view's.
    pub fn place(&self) -> Option<Place> {
        self.seen.back().and_then(|last| last.place)
    }

    /// When what is in force may change without another view.
    pub fn grows_at(&self, now: Duration) -> Option<Duration> {
        let settled = self.seen.iter().map(|seen| seen.known_at + VIEW_LASTS);
        settled.filter(|at| *at > now).min()
    }

    /// The least that any view says that still counts. `None`: nothing.
    pub fn portion(&self, now: Duration, limit: Rate, burst: u32) -> Option<Portion> {
        if limit == Rate::Unlimited {
            return Some(Portion { rate: limit, burst });
        }
        if self.ends_at() <= now {
            return None;
        }
        let settled = self
            .seen
            .iter()
            .rposition(|seen| seen.known_at + VIEW_LASTS <= now)?;
        let counting = self.seen.iter().skip(settled);
        let portions = counting.map(|seen| seen.place?.portion(limit, burst));
        portions
            .reduce(|one, other| Some(one?.lower(other?)))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LIMIT: Rate = Rate::per_minute(30);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn place(workers: u64) -> Option<Place> {
        let names: BTreeSet<String> = (0..workers).map(|n| format!("w{n}")).collect();
        Place::of("w0", &names)
    }

    fn share(term: &Term, now: Duration) -> u64 {
        match term.portion(now, LIMIT, 1).map(|portion| portion.rate) {
            Some(Rate::Limited { count, .. }) => count,
            _ => 0,
        }
    }

    /// Views from 0 on, each known a fifth of a second later.
    fn term(workers: &[u64]) -> Term {
        let mut term = Term::default();
        for (index, workers) in workers.iter().enumerate() {
            let read_at = LOOK_EVERY * u32::try_from(index).unwrap();
            term.see(read_at, read_at + seconds(1) / 5, place(*workers));
        }
        term
    }

    #[test]
    fn a_share_grows_after_two_further_looks() {
        assert_eq!(share(&term(&[1]), seconds(1)), 0);
        assert_eq!(share(&term(&[1, 1]), seconds(3)), 0);
        let third = term(&[1, 1, 1]);
        assert_eq!(share(&third, seconds(4)), 0);
        assert_eq!(third.grows_at(seconds(4)), Some(seconds(21) / 5));
        assert_eq!(share(&third, seconds(5)), 30);
        let growing = term(&[2, 2, 2, 1, 1]);
        assert_eq!(share(&growing, seconds(10)), 15);
        assert_eq!(share(&term(&[2, 2, 2, 1, 1, 1]), seconds(21) / 2), 30);
    }

    #[test]
    fn a_share_shrinks_at_once() {
        assert_eq!(share(&term(&[1, 1, 1, 1, 3]), seconds(9)), 10);
        assert_eq!(share(&term(&[1, 1, 1, 1, 0]), seconds(9)), 0);
        // What it shrank to stands for as long as a view lasts.
        assert_eq!(share(&term(&[1, 1, 1, 3, 1]), seconds(9)), 10);
    }

    #[test]
    fn an_old_view_gives_nothing() {
        let mut term = term(&[1, 1, 1, 1]);
        assert_eq!(share(&term, seconds(9)), 30);
        assert_eq!(share(&term, seconds(10)), 0);
        // After a gap it begins anew.
        term.see(seconds(12), seconds(13), place(1));
        assert_eq!(share(&term, seconds(14)), 0);
        assert_eq!(term.grows_at(seconds(14)), Some(seconds(17)));
    }

    #[test]
    fn without_a_limit_nothing_is_shared() {
        let term = Term::default();
        assert!(term.portion(seconds(1), Rate::Unlimited, 1).is_some());
    }
}
