//! The token bucket of this process for its share of a limit. Its rate changes as workers come and go.

use crate::engine::limits::shares::Share;
use crate::engine::limits::token_bucket::Bucket;
use std::time::Duration;

/// The shortest time that a slot which begins now is within.
const JUST_NOW: Duration = Duration::from_nanos(1);

#[derive(Debug)]
pub struct OwnBucket {
    /// No message may begin from then on, unless the share is set again.
    pub ends_at: Duration,
    /// `None`: this worker has no share, or there is no limit.
    bucket: Option<Bucket>,
    /// Tokens kept while there is no bucket, a part of one included.
    credit: f64,
    /// Slots to look ahead to, and for how long.
    want: usize,
    horizon: Duration,
    /// When the slot after these begins.
    next: Duration,
}

impl OwnBucket {
    /// Starts with a random part of a token, as if the worker had always been running. On average it then begins what
    /// its share is worth, however short it runs and however often it is started. An empty bucket would lose one
    /// message at each start, a full one would gain one.
    pub fn new() -> OwnBucket {
        OwnBucket {
            ends_at: Duration::ZERO,
            bucket: None,
            credit: fastrand::f64(),
            want: 0,
            horizon: Duration::ZERO,
            next: Duration::ZERO,
        }
    }

    pub fn set(&mut self, share: Option<Share>, now: Duration) {
        if let Some(bucket) = &self.bucket {
            self.credit = bucket.credit(now);
        }
        let bucket = |share: Share| Bucket::new(now, share.rate, share.burst, self.credit);
        self.bucket = share.and_then(bucket);
        if self.bucket.is_none() {
            // Without a share the burst belongs to the others, so at most one token is kept.
            self.credit = self.credit.min(1.0);
        }
        self.next = now;
    }

    pub fn look_ahead(&mut self, want: usize, now: Duration, horizon: Duration) {
        (self.want, self.horizon) = (want, horizon);
        if let Some(bucket) = &self.bucket {
            self.next = bucket.ahead(now, horizon, want).1;
        }
    }

    pub fn count(&self, now: Duration) -> usize {
        let ahead = |bucket: &Bucket| bucket.ahead(now, self.horizon, self.want).0;
        self.bucket.as_ref().map_or(0, ahead)
    }

    /// Slots of those that begin now.
    pub fn begun(&self, now: Duration) -> usize {
        let begun = |bucket: &Bucket| bucket.ahead(now, JUST_NOW, self.want).0;
        self.bucket.as_ref().map_or(0, begun)
    }

    pub fn first(&self, now: Duration) -> Option<Duration> {
        self.bucket.as_ref().map(|bucket| bucket.next(now))
    }

    pub fn take(&mut self, now: Duration) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    pub fn next(&self) -> Duration {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate::Rate;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn share(per_minute: u64) -> Option<Share> {
        let rate = Rate::per_minute(per_minute);
        Some(Share { rate, burst: 1 })
    }

    #[test]
    fn tokens_are_kept_while_there_is_no_share() {
        let mut own = OwnBucket::new();
        own.credit = 0.0;
        assert_eq!(own.first(seconds(10)), None);
        own.set(share(6), seconds(10));
        own.set(None, seconds(15));
        assert_eq!((own.first(seconds(70)), own.count(seconds(70))), (None, 0));
        own.set(share(60), seconds(70));
        let wait = own.first(seconds(70)).unwrap() - seconds(70);
        assert!((0.5..0.52).contains(&wait.as_secs_f64()), "{wait:?}");
    }

    #[test]
    fn a_short_lived_worker_begins_what_its_share_is_worth() {
        fastrand::seed(7);
        let lives = 2_000u64;
        let begun = (0..lives).filter(|_| {
            let mut own = OwnBucket::new();
            own.set(share(6), seconds(0));
            own.first(seconds(0)).unwrap() <= seconds(3)
        });
        let worth = 3.0 / 10.1;
        let each = begun.count() as f64 / lives as f64;
        assert!((each - worth).abs() < 0.03, "{each}");
    }

    #[test]
    fn slots_ahead_are_those_within_the_horizon() {
        let mut own = OwnBucket::new();
        own.credit = 1.0;
        own.set(share(60), seconds(10));
        assert_eq!(own.count(seconds(10)), 0);
        own.look_ahead(5, seconds(10), seconds(3));
        assert_eq!(own.count(seconds(10)), 3);
        assert!(own.next() > seconds(13));
        own.take(seconds(10));
        assert_eq!(own.count(seconds(10)), 2);
    }
}
