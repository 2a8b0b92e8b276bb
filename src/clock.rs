//! The three clocks: wall time for people, boot time for claims and pacing (it counts while the machine sleeps and
//! never jumps), and virtual ones for the simulation.

use std::time::{Duration, SystemTime};

/// Where the engine takes the time from. Waiting is tokio's, which the simulation runs on virtual time.
pub trait Clock {
    /// Wall time: due times, expiry, the `Date` field.
    fn now(&self) -> SystemTime;
    /// Time since boot, suspended time included: the age of claims, slots of the pacer.
    fn since_boot(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn since_boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            now.tv_sec.unsigned_abs(),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }
}
