//! Which share is in effect, from the observations of the last seconds. A pure state machine over boot time.

use super::Activity;
use super::split::{Place, Share};
use crate::domain::rate::Rate;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How often every worker observes all commits, with one request.
pub const OBSERVE_EVERY: Duration = Duration::from_millis(500);
/// Shares take effect this long after they are observed, so a read that takes most of it does no harm. A share that
/// changes hands is unused for as long.
pub const EFFECTIVE_AFTER: Duration = Duration::from_secs(3);

/// What one worker has observed of all.
#[derive(Debug, Clone, Default)]
pub struct ShareSchedule {
    name: String,
    /// Oldest first: the newest that was known [`EFFECTIVE_AFTER`] ago, and all after it.
    observed: VecDeque<Observed>,
}

/// The workers were so at some time between the two.
#[derive(Debug, Clone)]
struct Observed {
    read_at: Duration,
    known_at: Duration,
    activity: Activity,
}

impl Observed {
    fn is_settled(&self, now: Duration) -> bool {
        self.known_at + EFFECTIVE_AFTER <= now
    }

    fn lasts_until(&self) -> Duration {
        self.read_at + EFFECTIVE_AFTER
    }
}

impl ShareSchedule {
    pub fn new(name: &str) -> ShareSchedule {
        ShareSchedule {
            name: name.to_string(),
            observed: VecDeque::new(),
        }
    }

    /// Starts again from nothing, because the others may have observed that this worker owns nothing.
    pub fn forget(&mut self) {
        self.observed.clear();
    }

    /// Takes an observation that was asked for at `read_at` and evaluated at `known_at`. A worker that owned partitions
    /// and owns none any more has stopped sending, so its share belongs to the others at once.
    pub fn observe(&mut self, read_at: Duration, known_at: Duration, activity: Activity) {
        if self.ends_at() < read_at {
            self.observed.clear();
        }
        if let Some(last) = self.observed.back() {
            let gone = last.activity.owners.difference(&activity.owners);
            let gone: BTreeSet<String> = gone.cloned().collect();
            for observed in &mut self.observed {
                observed.activity.remove(&gone);
            }
        }
        self.observed.push_back(Observed {
            read_at,
            known_at,
            activity,
        });
        while self
            .observed
            .get(1)
            .is_some_and(|next| next.is_settled(known_at))
        {
            self.observed.pop_front();
        }
    }

    /// Nothing may be used from then on, unless there is another observation.
    fn ends_at(&self) -> Duration {
        self.observed
            .back()
            .map_or(Duration::ZERO, Observed::lasts_until)
    }

    /// This worker's place in the newest observation.
    pub fn place(&self) -> Option<Place> {
        self.observed
            .back()
            .and_then(|last| last.activity.place(&self.name))
    }

    /// When the share may change without another observation.
    pub fn changes_at(&self, now: Duration) -> Option<Duration> {
        let known = self
            .observed
            .iter()
            .map(|observed| observed.known_at + EFFECTIVE_AFTER);
        let read = self.observed.iter().map(Observed::lasts_until);
        known.chain(read).filter(|at| *at > now).min()
    }

    /// What may be used now, and until when: the lowest share that the observations before and after the time
    /// [`EFFECTIVE_AFTER`] ago give. `None`: nothing.
    pub fn share(&self, now: Duration, limit: Rate, burst: u32) -> (Option<Share>, Duration) {
        if limit == Rate::Unlimited {
            return (Some(Share { rate: limit, burst }), Duration::MAX);
        }
        let settled = self
            .observed
            .iter()
            .rposition(|observed| observed.is_settled(now));
        let Some(settled) = settled.filter(|_| now < self.ends_at()) else {
            return (None, self.changes_at(now).unwrap_or(Duration::MAX));
        };
        let mut least: Option<Option<Share>> = None;
        let mut until = now;
        for observed in self.observed.iter().skip(settled) {
            let place = observed.activity.place(&self.name);
            let share = place.and_then(|place| place.share(limit, burst));
            let lower = match least {
                None => share,
                Some(least) => least.zip(share).map(|(one, other)| one.lower(other)),
            };
            // A later observation counts from when this one and those before it have ended.
            if until > now && least.is_some_and(|least| least != lower) {
                break;
            }
            least = Some(lower);
            until = until.max(observed.lasts_until());
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
    fn activity(owners: u64, senders: u64) -> Activity {
        Activity {
            owners: names(owners),
            senders: names(senders),
        }
    }

    fn share(schedule: &ShareSchedule, now: Duration) -> u64 {
        match schedule.share(now, LIMIT, 1).0.map(|share| share.rate) {
            Some(Rate::Limited { count, .. }) => count,
            _ => 0,
        }
    }

    /// Views of w0, a second apart, each known a fifth of a second later: so many of ten have something to send.
    fn schedule(senders: &[u64]) -> ShareSchedule {
        let mut schedule = ShareSchedule::new("w0");
        for (index, senders) in (0u64..).zip(senders) {
            let read_at = seconds(index);
            schedule.observe(read_at, read_at + seconds(1) / 5, activity(10, *senders));
        }
        schedule
    }

    /// The shares in force at each half second from 3.1 s on.
    fn shares(senders: &[u64]) -> Vec<u64> {
        let moments = (0..).map(|half| seconds(31) / 10 + seconds(half) / 2);
        let moments = moments.take(2 * (senders.len() - 3));
        // A view of 5 s is known at 5.2 s.
        let known = |now: Duration| (now - seconds(1) / 5).as_secs() as usize + 1;
        let observed = |now: Duration| schedule(&senders[..known(now)]);
        moments.map(|now| share(&observed(now), now)).collect()
    }

    #[test]
    fn a_share_takes_effect_a_while_after_it_is_observed() {
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
    fn a_share_ends_when_a_lower_one_takes_effect() {
        let until = |schedule: &ShareSchedule| schedule.share(seconds(45) / 10, LIMIT, 1).1;
        assert_eq!(until(&schedule(&[1, 1, 1, 1, 1])), seconds(7));
        assert_eq!(until(&schedule(&[1, 1, 1, 3, 3])), seconds(5));
        assert_eq!(until(&schedule(&[3, 3, 1, 1, 1])), seconds(7));
    }

    #[test]
    fn a_worker_that_is_gone_leaves_its_share_at_once() {
        let mut schedule = ShareSchedule::new("w0");
        for read_at in 0..5 {
            schedule.observe(seconds(read_at), seconds(read_at), activity(3, 3));
        }
        assert_eq!(share(&schedule, seconds(5)), 10);
        schedule.observe(seconds(5), seconds(5), activity(2, 2));
        assert_eq!(share(&schedule, seconds(5)), 15);
        // A worker that comes back is new.
        schedule.observe(seconds(6), seconds(6), activity(3, 3));
        assert_eq!(share(&schedule, seconds(7)), 15);
        assert_eq!(share(&schedule, seconds(8)), 10);
    }

    #[test]
    fn an_old_observation_gives_nothing() {
        let mut schedule = schedule(&[1, 1, 1, 1, 1]);
        assert_eq!(share(&schedule, seconds(5)), 30);
        assert_eq!(share(&schedule, seconds(7)), 0);
        // After a gap it starts again.
        schedule.observe(seconds(9), seconds(10), activity(10, 1));
        assert_eq!(share(&schedule, seconds(11)), 0);
        assert_eq!(schedule.changes_at(seconds(11)), Some(seconds(12)));
        schedule.forget();
        assert_eq!(schedule.changes_at(seconds(11)), None);
    }

    #[test]
    fn without_a_limit_nothing_is_shared() {
        let schedule = ShareSchedule::default();
        let (share, until) = schedule.share(seconds(1), Rate::Unlimited, 1);
        assert!(share.is_some() && until == Duration::MAX);
    }
}
