//! Absolute counts of what became of a run's messages in one partition. They only grow.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Where a message can end. `Delivered` to `InDoubt` add up to what was enqueued once nothing is pending or retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Final {
    Delivered,
    Bounced,
    Dead,
    Suppressed,
    Expired,
    Cancelled,
    InDoubt,
}

impl Final {
    pub const ALL: [Final; 7] = [
        Final::Delivered,
        Final::Bounced,
        Final::Dead,
        Final::Suppressed,
        Final::Expired,
        Final::Cancelled,
        Final::InDoubt,
    ];

    /// The name in JSON, in `--state` and in events (`mail.<name>`).
    pub const fn name(self) -> &'static str {
        match self {
            Final::Delivered => "delivered",
            Final::Bounced => "bounced",
            Final::Dead => "dead",
            Final::Suppressed => "suppressed",
            Final::Expired => "expired",
            Final::Cancelled => "cancelled",
            Final::InDoubt => "in_doubt",
        }
    }
}

/// One run's counts in one partition of send or of a retry tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Indexed by [`Final`] in the order of [`Final::ALL`].
    pub finals: [u64; 7],
    /// Messages that left this partition for a retry tier. Over all partitions, `moved` less what the retry
    /// partitions ended or moved on is what is retrying now.
    pub moved: u64,
}

impl Counters {
    pub fn add(&mut self, end: Final) {
        if let Some(count) = self.finals.get_mut(end as usize) {
            *count += 1;
        }
    }

    pub fn get(&self, end: Final) -> u64 {
        self.finals.get(end as usize).copied().unwrap_or_default()
    }

    /// Everything that left this partition, one way or the other.
    pub fn left(&self) -> u64 {
        self.ended() + self.moved
    }

    /// Messages that have come to an end here.
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
