//! The simulation's clock: tokio's virtual time since the log began, and a fixed day for wall time.

use mailq::clock::Clock;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z, the beginning of every log in memory.
const FIRST_DAY: Duration = Duration::from_secs(1_767_225_600);

/// Boot time and wall time of all processes that share a log in memory.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    origin: Instant,
}

impl VirtualClock {
    /// Starts now. Must be called inside a tokio runtime whose time is paused.
    pub fn start() -> VirtualClock {
        VirtualClock {
            origin: Instant::now(),
        }
    }

    /// The wall time of an instant since boot.
    pub fn wall(since_boot: Duration) -> SystemTime {
        SystemTime::UNIX_EPOCH + FIRST_DAY + since_boot
    }

    pub(super) fn instant(&self, since_boot: Duration) -> Instant {
        self.origin + since_boot
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        VirtualClock::wall(self.since_boot())
    }

    fn since_boot(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }
}
