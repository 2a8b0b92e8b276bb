//! Which faults the queue in memory shows and how often, and the one seeded source of all its choices.

use std::time::Duration;

/// The usual latency of an operation, at most.
const PROMPT: Duration = Duration::from_millis(20);
/// The latency of an operation that is slow, at most.
const SLOW: Duration = Duration::from_secs(2);

/// Probabilities are between 0 and 1, for each operation; frequencies are per second of virtual time.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// An operation takes up to 2 s instead of up to 20 ms.
    pub slow: f64,
    /// A fetch gives fewer records than it could.
    pub short_fetch: f64,
    /// An append or commit is done, but its caller learns only that the result is unknown.
    pub answer_lost: f64,
    /// Its caller learns that the result is unknown, and it is done afterwards, up to `late_by` later. A commit only
    /// if its ownership still stands then.
    pub late: f64,
    pub late_by: Duration,
    /// Its caller learns that the result is unknown, and it is never done.
    pub never: f64,
    /// What a killed process still had under way to a partition is lost from here on, drawn for each record.
    pub never_from_the_dead: f64,
    /// How long a partition stays without an owner, at most.
    pub vacancy: Duration,
    /// Partitions asked for, or taken without asking, whatever is fair. At 0 members hold fair shares instead.
    pub moves_per_second: f64,
    /// Of these moves, those that take the partition without asking.
    pub taken_unasked: f64,
    pub compactions_per_second: f64,
}

impl Faults {
    /// Everything works, in up to 20 ms; partitions are shared fairly.
    pub fn none() -> Faults {
        Faults {
            slow: 0.0,
            short_fetch: 0.0,
            answer_lost: 0.0,
            late: 0.0,
            late_by: Duration::ZERO,
            never: 0.0,
            never_from_the_dead: 0.0,
            vacancy: Duration::ZERO,
            moves_per_second: 0.0,
            taken_unasked: 0.0,
            compactions_per_second: 0.0,
        }
    }

    /// As bad as Kafka with restless brokers and members may be.
    pub fn kafka() -> Faults {
        Faults {
            slow: 0.03,
            short_fetch: 0.2,
            answer_lost: 0.03,
            late: 0.03,
            late_by: Duration::from_secs(10),
            never: 0.01,
            never_from_the_dead: 0.3,
            vacancy: Duration::from_secs(2),
            moves_per_second: 0.1,
            taken_unasked: 0.4,
            compactions_per_second: 0.2,
        }
    }
}

/// What becomes of an append or a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    AnswerLost,
    Late,
    Never,
}

#[derive(Debug)]
pub(super) struct Dice {
    random: fastrand::Rng,
    pub faults: Faults,
}

impl Dice {
    pub fn new(seed: u64, faults: Faults) -> Dice {
        Dice {
            random: fastrand::Rng::with_seed(seed),
            faults,
        }
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.f64() < probability
    }

    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.random.u64(0..=micros))
    }

    /// From 0 to `last`, both included.
    pub fn number(&mut self, last: u64) -> u64 {
        self.random.u64(0..=last)
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.random.choice(choices).copied()
    }

    pub fn latency(&mut self) -> Duration {
        let slow = self.chance(self.faults.slow);
        self.up_to(if slow { SLOW } else { PROMPT })
    }

    pub fn fate(&mut self) -> Fate {
        if self.chance(self.faults.answer_lost) {
            Fate::AnswerLost
        } else if self.chance(self.faults.late) {
            Fate::Late
        } else if self.chance(self.faults.never) {
            Fate::Never
        } else {
            Fate::Answered
        }
    }
}
