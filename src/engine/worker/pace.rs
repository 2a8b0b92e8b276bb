//! A stock of slots in time: taken from the queue's bucket shortly before they begin, used up by MAIL FROM.
//! A slot that passed by more than the tolerance is given up, so lateness makes no burst. Where every process has a
//! bucket of its own this is one worker's share of the limit, which changes as workers come and go.

use crate::domain::rate::Rate;
use crate::engine::pacer;
use crate::engine::shares::Portion;
use crate::queue::{Queue, QueueError, SlotRequest};
use std::collections::VecDeque;
use std::time::Duration;

/// Slots are taken this long before they begin, or as long as a commit takes to come back where that is longer: a
/// slot that has passed when the claim is acknowledged is lost.
const SHORTEST_HORIZON: Duration = Duration::from_millis(60);
const LONGEST_HORIZON: Duration = Duration::from_secs(1);

/// How far ahead slots are taken when the slowest of the last cycles took this long.
pub fn horizon(slowest_cycle: Duration) -> Duration {
    (slowest_cycle * 2).clamp(SHORTEST_HORIZON, LONGEST_HORIZON)
}

#[derive(Debug)]
pub struct Pace {
    bucket: String,
    rate: Rate,
    burst: u32,
    slots: VecDeque<Duration>,
    /// When the next free slot begins, as the bucket last said.
    next: Duration,
    share: Share,
}

/// What a share adds to a pace; of a limit that is not shared it says nothing.
#[derive(Debug)]
struct Share {
    /// No message may begin from then on.
    ends_at: Duration,
    is_nothing: bool,
    /// Messages' worth that had gathered by `since`: a share that grows gives no message earlier than both shares
    /// together would have, so that in any window a worker is at most one message ahead of its shares.
    credit: f64,
    since: Duration,
    not_before: Duration,
}

impl Share {
    const WHOLE: Share = Share {
        ends_at: Duration::MAX,
        is_nothing: false,
        credit: 1.0,
        since: Duration::ZERO,
        not_before: Duration::ZERO,
    };
}

impl Pace {
    pub fn new(bucket: String, rate: Rate, burst: u32) -> Pace {
        Pace {
            bucket,
            rate,
            burst,
            slots: VecDeque::new(),
            next: Duration::ZERO,
            share: Share::WHOLE,
        }
    }

    pub fn is_unlimited(&self) -> bool {
        self.rate == Rate::Unlimited
    }

    pub fn set_rate(&mut self, rate: Rate, burst: u32) {
        if (self.rate, self.burst) != (rate, burst) {
            (self.rate, self.burst) = (rate, burst);
            self.slots.clear();
            self.next = Duration::ZERO;
        }
    }

    /// From now on this share of the limit, until it ends; `None`: nothing.
    pub fn set_portion(&mut self, portion: Option<Portion>, ends_at: Duration, now: Duration) {
        self.share.ends_at = ends_at;
        let same = portion.map(|portion| (portion.rate, portion.burst));
        let old = (!self.share.is_nothing).then_some((self.rate, self.burst));
        if same == old {
            return;
        }
        self.share.credit = self.credit(now);
        self.share.since = now;
        self.share.is_nothing = portion.is_none();
        self.slots.clear();
        if let Some(portion) = portion {
            self.set_rate(portion.rate, portion.burst);
            let interval = pacer::interval(self.rate).unwrap_or_default();
            let missing = (1.0 - self.share.credit).max(0.0);
            self.share.not_before = now.saturating_add(interval.mul_f64(missing));
        }
    }

    /// What may be used of the limit, as last said.
    pub fn portion(&self) -> Option<Rate> {
        (!self.share.is_nothing).then_some(self.rate)
    }

    /// Nothing of the limit may be used, for as long as that lasts.
    pub fn is_closed(&self, now: Duration) -> bool {
        !self.is_unlimited() && (self.share.is_nothing || self.share.ends_at <= now)
    }

    fn credit(&self, now: Duration) -> f64 {
        let gathered = match pacer::interval(self.rate) {
            Some(interval) if !self.share.is_nothing && !interval.is_zero() => {
                now.saturating_sub(self.share.since).as_secs_f64() / interval.as_secs_f64()
            }
            _ => 0.0,
        };
        (self.share.credit + gathered).min(f64::from(self.burst))
    }

    /// Slots in stock that have not passed; without limit as many as one likes.
    pub fn stock(&mut self, now: Duration) -> usize {
        self.give_up(now);
        if self.is_unlimited() {
            usize::MAX
        } else {
            self.slots.len()
        }
    }

    /// When the first slot of the stock begins.
    pub fn opens(&mut self, now: Duration) -> Option<Duration> {
        self.give_up(now);
        if self.is_unlimited() {
            Some(now)
        } else {
            self.slots.front().copied()
        }
    }

    /// Uses the slot that has begun.
    pub fn take(&mut self, now: Duration) -> bool {
        if self.is_unlimited() {
            return true;
        }
        self.give_up(now);
        let Some(slot) = self.slots.front().copied().filter(|at| *at <= now) else {
            return false;
        };
        self.slots.pop_front();
        self.share.credit = (self.credit(slot) - 1.0).max(0.0);
        self.share.since = slot;
        true
    }

    /// The earliest moment at which asking for slots makes sense again; `None` when unlimited.
    pub fn ask_at(&self, horizon: Duration) -> Option<Duration> {
        let early = self.next.saturating_sub(horizon);
        (!self.is_unlimited()).then(|| early.max(self.share.not_before))
    }

    /// Fills the stock up to `want` slots that begin soon.
    pub async fn fill(
        &mut self,
        queue: &dyn Queue,
        want: usize,
        now: Duration,
        horizon: Duration,
    ) -> Result<(), QueueError> {
        let Some(interval) = pacer::interval(self.rate) else {
            return Ok(());
        };
        let missing = want.saturating_sub(self.stock(now));
        let is_early = self.ask_at(horizon).is_some_and(|at| at > now);
        if missing == 0 || is_early || self.is_closed(now) {
            return Ok(());
        }
        let want = u32::try_from(missing).unwrap_or(u32::MAX);
        let request = SlotRequest {
            bucket: self.bucket.clone(),
            want,
            interval,
            burst: self.burst,
            horizon,
        };
        let slots = queue.take_slots(request).await?;
        self.next = slots.next;
        self.slots.extend(slots.at);
        Ok(())
    }

    fn give_up(&mut self, now: Duration) {
        if self.is_closed(now) {
            self.slots.clear();
        }
        let Some(tolerance) = pacer::tolerance(self.rate) else {
            return;
        };
        while self.slots.front().is_some_and(|at| *at + tolerance < now) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn portion(per_minute: u64) -> Option<Portion> {
        let rate = Rate::per_minute(per_minute);
        Some(Portion { rate, burst: 1 })
    }

    /// When the pace lets the next slot be asked for, after one was used at 100 s with the first share and the second
    /// began at 130 s.
    fn next_after(first: Option<Portion>, second: Option<Portion>) -> f64 {
        let mut pace = Pace::new("rate".into(), Rate::per_minute(60), 1);
        pace.set_portion(first, Duration::MAX, seconds(50));
        pace.slots.push_back(seconds(100));
        pace.take(seconds(100));
        pace.set_portion(second, Duration::MAX, seconds(130));
        pace.share.not_before.as_secs_f64()
    }

    #[test]
    fn a_share_that_grows_gives_no_message_too_early() {
        // Half a message had gathered, so half of the new interval is left.
        let found = next_after(portion(1), portion(10));
        assert!((133.0..133.1).contains(&found), "{found}");
        assert_eq!(next_after(portion(60), portion(1)), 130.0);
    }

    #[test]
    fn without_a_share_nothing_gathers_and_nothing_begins() {
        let mut pace = Pace::new("rate".into(), Rate::per_minute(60), 1);
        pace.set_portion(portion(6), seconds(20), seconds(0));
        pace.slots.extend([seconds(10), seconds(11)]);
        assert!(pace.take(seconds(10)));
        assert_eq!(pace.stock(seconds(10)), 1);
        pace.set_portion(None, seconds(20), seconds(10));
        assert!(pace.is_closed(seconds(10)) && !pace.take(seconds(11)));
        pace.set_portion(portion(6), seconds(40), seconds(20));
        assert!((30.0..30.2).contains(&pace.share.not_before.as_secs_f64()));
        pace.slots.push_back(seconds(39));
        // Its view is too old by then.
        assert_eq!(pace.stock(seconds(40)), 0);
    }
}
