//! Which faults the queue in memory shows and how often, and the one seeded source of all its choices.

use std::time::Duration;

/// The usual latency of an operation, at most.
const PROMPT: Duration = Duration::from_millis(20);
/// The latency of an operation that is slow, at most.
const SLOW: Duration = Duration::from_secs(2);

/// Probabilities are between 0 and 1, drawn for each operation; frequencies are per second of virtual time.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// An operation takes up to 2 s instead of up to 20 ms.
    pub slow: f64,
    /// A fetch returns one record where it could return more.
    pub short_fetch: f64,
    /// An append or commit is done, but its caller learns only that the result is unknown.
    pub unacknowledged: f64,
    /// The caller learns that the result is unknown, and the operation is done up to `late_by` later. A commit is done
    /// only if its owner still owns the partition then.
    pub late: f64,
    pub late_by: Duration,
    /// The caller learns that the result is unknown, and the operation is never done.
    pub lost: f64,
    /// Drawn for each record that a killed process has in flight: this record and those behind it in the same partition
    /// never land.
    pub lost_after_kill: f64,
    /// How long a partition stays without an owner at most.
    pub unassigned_for: Duration,
    /// Partitions that are moved to another member for no reason. At 0 members hold fair shares instead.
    pub rebalances_per_second: f64,
    /// The part of these moves that takes the partition without asking its owner first.
    pub revoked_without_notice: f64,
    pub compactions_per_second: f64,
}

impl Faults {
    /// Everything works, in up to 20 ms; partitions are shared fairly.
    pub fn none() -> Faults {
        Faults {
            slow: 0.0,
            short_fetch: 0.0,
            unacknowledged: 0.0,
            late: 0.0,
            late_by: Duration::ZERO,
            lost: 0.0,
            lost_after_kill: 0.0,
            unassigned_for: Duration::ZERO,
            rebalances_per_second: 0.0,
            revoked_without_notice: 0.0,
            compactions_per_second: 0.0,
        }
    }

    /// Worse than Kafka with brokers and members that come and go.
    pub fn kafka() -> Faults {
        Faults {
            slow: 0.03,
            short_fetch: 0.2,
            unacknowledged: 0.03,
            late: 0.03,
            late_by: Duration::from_secs(10),
            lost: 0.01,
            lost_after_kill: 0.3,
            unassigned_for: Duration::from_secs(2),
            rebalances_per_second: 0.1,
            revoked_without_notice: 0.4,
            compactions_per_second: 0.2,
        }
    }
}

/// What becomes of an append or a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Done, and the caller learns it.
    Acknowledged,
    /// Done, and the caller learns that the result is unknown.
    Unacknowledged,
    Late,
    Lost,
}

/// Where every choice comes from, so that a seed repeats a whole simulation.
#[derive(Debug)]
pub(super) struct Random {
    generator: fastrand::Rng,
    pub faults: Faults,
}

impl Random {
    pub fn new(seed: u64, faults: Faults) -> Random {
        Random {
            generator: fastrand::Rng::with_seed(seed),
            faults,
        }
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.generator.f64() < probability
    }

    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.generator.u64(0..=micros))
    }

    /// From 0 to `last`, both included.
    pub fn number(&mut self, last: u64) -> u64 {
        self.generator.u64(0..=last)
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.generator.choice(choices).copied()
    }

    pub fn latency(&mut self) -> Duration {
        let slow = self.chance(self.faults.slow);
        self.up_to(if slow { SLOW } else { PROMPT })
    }

    pub fn delivery(&mut self) -> Delivery {
        if self.chance(self.faults.unacknowledged) {
            Delivery::Unacknowledged
        } else if self.chance(self.faults.late) {
            Delivery::Late
        } else if self.chance(self.faults.lost) {
            Delivery::Lost
        } else {
            Delivery::Acknowledged
        }
    }
}
