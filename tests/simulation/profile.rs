//! The kind of run that a seed makes: all faults at once, or one promise in detail.

use mailq::domain::rate::Rate;
use mailq::domain::send_windows::{SendWindow, SendWindows};
use mailq::engine::limits::quota::Quota;
use mailq::engine::worker::SiteLimit;
use mailq_testkit::memory::Faults;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Kills, stops, lost partitions, every fault that Kafka may show, a relay that answers anything.
    Faults,
    /// The same, and messages in doubt are held for a person.
    Hold,
    /// No faults: workers start and stop cleanly, partitions are revoked. No duplicate, nothing in doubt.
    Clean,
    /// The same, and mail may leave only in every second minute, not in the first one.
    Windows,
    /// A rate, and workers that start and stop.
    Paced,
    /// The same where each process has a bucket of its own, so that workers share the rate out.
    Shared,
    /// Shared out among workers that all run throughout, with all the work in one partition.
    Alone,
}

impl Profile {
    pub fn of(seed: u64) -> Profile {
        match seed % 10 {
            0..6 => Profile::Faults,
            6 => Profile::Hold,
            7 => Profile::Clean,
            8 => Profile::Windows,
            _ => Profile::Paced,
        }
    }

    pub fn is_clean(self) -> bool {
        matches!(self, Profile::Clean | Profile::Windows)
    }

    pub fn has_faults(self) -> bool {
        matches!(self, Profile::Faults | Profile::Hold)
    }

    pub fn is_paced(self) -> bool {
        matches!(self, Profile::Paced | Profile::Shared | Profile::Alone)
    }

    pub fn is_shared(self) -> bool {
        matches!(self, Profile::Shared | Profile::Alone)
    }

    pub fn partitions(self) -> u32 {
        if self.is_shared() { 12 } else { 2 }
    }

    pub fn faults(self) -> Faults {
        if self.has_faults() {
            Faults::kafka()
        } else {
            Faults::none()
        }
    }

    /// Runs may be scheduled and may expire.
    pub fn is_timed(self) -> bool {
        !self.is_paced()
    }

    pub fn rows(self, random: &mut fastrand::Rng) -> u64 {
        match self {
            Profile::Paced => random.u64(50..120),
            Profile::Shared | Profile::Alone => random.u64(80..160),
            _ => 24,
        }
    }

    /// One site is limited in every second run: its mail waits while the other mail passes it.
    pub fn sites(self, random: &mut fastrand::Rng) -> BTreeMap<String, SiteLimit> {
        if self.is_paced() || random.bool() {
            return BTreeMap::new();
        }
        let rate = Rate::Limited {
            count: random.u64(1..4),
            window: Duration::from_secs(random.u64(1..4)),
        };
        let connections = random.usize(1..4);
        let site = format!("site{}.example", random.u32(..3));
        BTreeMap::from([(site, SiteLimit { rate, connections })])
    }

    /// When mail may leave.
    pub fn windows(self) -> SendWindows {
        if self != Profile::Windows {
            return SendWindows::default();
        }
        let minutes = (1..59).step_by(2);
        let texts = minutes.map(|from| format!("Thu 00:{from:02}-00:{:02} UTC", from + 1));
        SendWindows::new(
            texts
                .map(|text| SendWindow::parse(&text).unwrap())
                .collect(),
        )
    }

    /// Of every third run with faults: the relay takes few messages in a day of twenty seconds.
    pub fn quota(self, seed: u64) -> Option<Quota> {
        let has_quota = self == Profile::Faults && seed.is_multiple_of(3);
        has_quota.then(|| Quota {
            relay: "relay".into(),
            daily: Some(4 + seed % 20),
            warm_up: None,
            day: Duration::from_secs(20),
        })
    }

    pub fn suppressed(self, random: &mut fastrand::Rng, rows: u64) -> BTreeSet<u64> {
        if self.is_paced() {
            return BTreeSet::new();
        }
        (0..2).map(|_| random.u64(..rows)).collect()
    }

    pub fn rate(self, random: &mut fastrand::Rng) -> Rate {
        let choices: &[(u64, u64)] = match self {
            Profile::Paced => &[(30, 60), (120, 60), (2, 1), (10, 1), (1_800, 3_600)],
            Profile::Shared => &[(30, 60), (60, 60), (2, 1), (3, 1), (5, 1), (1_000, 3_600)],
            // A higher rate would need more than K messages in flight.
            Profile::Alone => &[(30, 60), (300, 60), (900, 3_600)],
            _ => return Rate::Unlimited,
        };
        let (count, seconds) = *random.choice(choices).unwrap();
        Rate::Limited {
            count,
            window: Duration::from_secs(seconds),
        }
    }
}
