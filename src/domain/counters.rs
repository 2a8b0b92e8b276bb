//! Counts of how a run's messages ended in one partition. They are totals since the run began and only grow.

use super::named::named;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

named! {
    /// How a message can end. Once nothing is pending or retrying, the seven counts add up to the messages enqueued.
    pub enum Final {
        Delivered = "delivered",
        Bounced = "bounced",
        Dead = "dead",
        Suppressed = "suppressed",
        Expired = "expired",
        Cancelled = "cancelled",
        InDoubt = "in_doubt",
    }
}

/// One run's counts in one partition of send or of a retry tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Indexed by [`Final`] in the order of [`Final::ALL`].
    pub finals: [u64; 7],
    /// Messages that moved from this partition to a retry tier. The number retrying now is the sum of `moved` over all
    /// partitions, minus `left()` of the retry partitions.
    pub moved: u64,
}

impl Counters {
    pub fn add(&mut self, end: Final) {
        *self.count_mut(end) += 1;
    }

    pub fn get(&self, end: Final) -> u64 {
        let mut counters = *self;
        *counters.count_mut(end)
    }

    fn count_mut(&mut self, end: Final) -> &mut u64 {
        let [
            delivered,
            bounced,
            dead,
            suppressed,
            expired,
            cancelled,
            in_doubt,
        ] = &mut self.finals;
        match end {
            Final::Delivered => delivered,
            Final::Bounced => bounced,
            Final::Dead => dead,
            Final::Suppressed => suppressed,
            Final::Expired => expired,
            Final::Cancelled => cancelled,
            Final::InDoubt => in_doubt,
        }
    }

    /// Messages that ended here or moved on.
    pub fn left(&self) -> u64 {
        self.ended() + self.moved
    }

    /// Messages that ended here.
    pub fn ended(&self) -> u64 {
        self.finals.iter().sum()
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        for (mine, theirs) in self.finals.iter_mut().zip(other.finals) {
            *mine += theirs;
        }
        self.moved += other.moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_in_the_order_of_the_variants() {
        for (index, end) in Final::ALL.into_iter().enumerate() {
            let mut counters = Counters::default();
            counters.add(end);
            assert_eq!((counters.get(end), counters.finals[index]), (1, 1));
            assert_eq!((counters.ended(), counters.left()), (1, 1));
        }
    }
}
