//! Totals over many runs, because a simulation in which no fault happened proves nothing.

use std::ops::AddAssign;

/// Faults that happened: over many runs each of these must be large.
#[derive(Debug, Default, Clone, Copy)]
pub struct Totals {
    pub runs: u64,
    pub accepted: u64,
    pub extra: u64,
    /// Ownerships that ended with claims.
    pub losses: u64,
    pub named: u64,
    pub transactions: u64,
    pub retried: u64,
    pub replayed: u64,
    pub expired: u64,
    pub suppressed: u64,
    pub held: u64,
}

impl Totals {
    pub fn shows_faults(&self) -> bool {
        let rare = [
            self.losses,
            self.named,
            self.replayed,
            self.expired,
            self.suppressed,
            self.held,
        ];
        rare.into_iter().all(|count| count > self.runs / 4)
            && self.extra > self.runs / 10
            && self.retried > self.runs
            && self.accepted > self.runs * 10
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.runs += other.runs;
        self.accepted += other.accepted;
        self.extra += other.extra;
        self.losses += other.losses;
        self.named += other.named;
        self.transactions += other.transactions;
        self.retried += other.retried;
        self.replayed += other.replayed;
        self.expired += other.expired;
        self.suppressed += other.suppressed;
        self.held += other.held;
    }
}
