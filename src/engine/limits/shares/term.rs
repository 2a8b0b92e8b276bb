//! What share is in force, from the views of the last seconds. A pure state machine over boot time.

use super::Census;
use super::split::{Place, Portion};
use crate::domain::rate::Rate;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How often every worker looks: one request.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// In force is what the workers' state was so long ago; a look that takes most of it does no harm. What changes hands
/// is idle for as long.
pub const VIEW_LASTS: Duration = Duration::from_secs(3);

/// What one worker has seen of all.
#[derive(Debug, Clone, Default)]
pub struct Term {
    name: String,
    /// Oldest first: the newest that was known [`VIEW_LASTS`] ago, and all after it.
    seen: VecDeque<Seen>,
}

/// The state was this at some moment between the two.
#[derive(Debug, Clone)]
struct Seen {
    read_at: Duration,
    known_at: Duration,
    census: Census,
}

impl Seen {
    fn is_settled(&self, now: Duration) -> bool {
        self.known_at + VIEW_LASTS <= now
    }

    fn lasts_until(&self) -> Duration {
        self.read_at + VIEW_LASTS
    }
}

impl Term {
    pub fn new(name: &str) -> Term {
        Term {
            name: name.to_string(),
            seen: VecDeque::new(),
        }
    }

    /// As if nothing had been seen: this worker was nowhere to be seen for a moment.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// A view that was asked for at `read_at` and judged at `known_at`. Who owned partitions and owns none any more has
    /// stopped sending: what was its share is the others' at once.
    pub fn see(&mut self, read_at: Duration, known_at: Duration, census: Census) {
        if self.ends_at() < read_at {
            self.seen.clear();
        }
        if let Some(last) = self.seen.back() {
            let gone = last.census.owners.difference(&census.owners);
            let gone: BTreeSet<String> = gone.cloned().collect();
            for seen in &mut self.seen {
                seen.census.remove(&gone);
            }
        }
        self.seen.push_back(Seen {
            read_at,
            known_at,
            census,
        });
        while self
            .seen
            .get(1)
            .is_some_and(|next| next.is_settled(known_at))
        {
            self.seen.pop_front();
        }
    }

    /// Nothing may be used from then on, unless there is another view.
    fn ends_at(&self) -> Duration {
        self.seen.back().map_or(Duration::ZERO, Seen::lasts_until)
    }

    /// The newest view's.
    pub fn place(&self) -> Option<Place> {
        self.seen
            .back()
            .and_then(|last| last.census.place(&self.name))
    }

    /// When what is in force may change without another view.
    pub fn changes_at(&self, now: Duration) -> Option<Duration> {
        let known = self.seen.iter().map(|seen| seen.known_at + VIEW_LASTS);
        let read = self.seen.iter().map(Seen::lasts_until);
        known.chain(read).filter(|at| *at > now).min()
    }

    /// What may be used now, and until when: the least that the views before and after the moment say that was
    /// [`VIEW_LASTS`] ago. `None`: nothing.
    pub fn portion(&self, now: Duration, limit: Rate, burst: u32) -> (Option<Portion>, Duration) {
        if limit == Rate::Unlimited {
            return (Some(Portion { rate: limit, burst }), Duration::MAX);
        }
        let settled = self.seen.iter().rposition(|seen| seen.is_settled(now));
        let Some(settled) = settled.filter(|_| now < self.ends_at()) else {
            return (None, self.changes_at(now).unwrap_or(Duration::MAX));
        };
        let mut least: Option<Option<Portion>> = None;
        let mut until = now;
        for seen in self.seen.iter().skip(settled) {
            let place = seen.census.place(&self.name);
            let portion = place.and_then(|place| place.portion(limit, burst));
            let lower = match least {
                None => portion,
                Some(least) => least.zip(portion).map(|(one, other)| one.lower(other)),
            };
            // A later view counts from when this one, and those before it, do not last any more.
            if until > now && least.is_some_and(|least| least != lower) {
                break;
            }
            least = Some(lower);
            until = until.max(seen.lasts_until());
        }
        (least.flatten(), until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Rate = Rate::per_minute(30);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn names(count: u64) -> BTreeSet<String> {
        (0..count).map(|n| format!("w{n}")).collect()
    }

    /// So many workers own partitions, and so many of them have something to send.
    fn census(owners: u64, senders: u64) -> Census {
        Census {
            owners: names(owners),
            senders: names(senders),
        }
    }

    fn share(term: &Term, now: Duration) -> u64 {
        match term.portion(now, LIMIT, 1).0.map(|portion| portion.rate) {
            Some(Rate::Limited { count, .. }) => count,
            _ => 0,
        }
    }

    /// Views of w0, a second apart, each known a fifth of a second later: so many of ten have something to send.
    fn term(senders: &[u64]) -> Term {
        let mut term = Term::new("w0");
        for (index, senders) in (0u64..).zip(senders) {
            let read_at = seconds(index);
            term.see(read_at, read_at + seconds(1) / 5, census(10, *senders));
        }
        term
    }

    /// The shares in force at each half second from 3.1 s on.
    fn shares(senders: &[u64]) -> Vec<u64> {
        let moments = (0..).map(|half| seconds(31) / 10 + seconds(half) / 2);
        let moments = moments.take(2 * (senders.len() - 3));
        // A view of 5 s is known at 5.2 s.
        let known = |now: Duration| (now - seconds(1) / 5).as_secs() as usize + 1;
        let seen = |now: Duration| term(&senders[..known(now)]);
        moments.map(|now| share(&seen(now), now)).collect()
    }

    #[test]
    fn in_force_is_what_was_a_while_ago() {
        // Until 3.2 s the first view is not known for long enough.
        assert_eq!(shares(&[1; 6]), [0, 30, 30, 30, 30, 30]);
        // Three share from between 2 and 3.2 s on: the share has shrunk when the last view without them ends, and has
        // grown when the first without them is known for long enough.
        assert_eq!(
            shares(&[1, 1, 1, 3, 3, 3, 3]),
            [0, 30, 30, 30, 10, 10, 10, 10]
        );
        assert_eq!(
            shares(&[3, 3, 3, 1, 1, 1, 1]),
            [0, 10, 10, 10, 10, 10, 10, 30]
        );
        assert_eq!(shares(&[1, 0, 0, 0, 0, 0]), [0, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn a_share_ends_when_a_view_that_says_less_counts() {
        let until = |term: &Term| term.portion(seconds(45) / 10, LIMIT, 1).1;
        assert_eq!(until(&term(&[1, 1, 1, 1, 1])), seconds(7));
        assert_eq!(until(&term(&[1, 1, 1, 3, 3])), seconds(5));
        assert_eq!(until(&term(&[3, 3, 1, 1, 1])), seconds(7));
    }

    #[test]
    fn who_is_gone_leaves_its_share_at_once() {
        let mut term = Term::new("w0");
        for read_at in 0..5 {
            term.see(seconds(read_at), seconds(read_at), census(3, 3));
        }
        assert_eq!(share(&term, seconds(5)), 10);
        term.see(seconds(5), seconds(5), census(2, 2));
        assert_eq!(share(&term, seconds(5)), 15);
        // Who comes back is new.
        term.see(seconds(6), seconds(6), census(3, 3));
        assert_eq!(share(&term, seconds(7)), 15);
        assert_eq!(share(&term, seconds(8)), 10);
    }

    #[test]
    fn an_old_view_gives_nothing() {
        let mut term = term(&[1, 1, 1, 1, 1]);
        assert_eq!(share(&term, seconds(5)), 30);
        assert_eq!(share(&term, seconds(7)), 0);
        // After a gap it begins anew.
        term.see(seconds(9), seconds(10), census(10, 1));
        assert_eq!(share(&term, seconds(11)), 0);
        assert_eq!(term.changes_at(seconds(11)), Some(seconds(12)));
        term.forget();
        assert_eq!(term.changes_at(seconds(11)), None);
    }

    #[test]
    fn without_a_limit_nothing_is_shared() {
        let term = Term::default();
        let (portion, until) = term.portion(seconds(1), Rate::Unlimited, 1);
        assert!(portion.is_some() && until == Duration::MAX);
    }
}
