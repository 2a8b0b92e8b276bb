//! Reservation: messages of a relay's daily quota that one worker may hand over.

use serde::{Deserialize, Serialize};

/// In log order, the reservations of a relay and day are granted until its limit is reached; of the last one as much as
/// is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The relay, and the login that the quota is for.
    pub relay: String,
    /// When the day begins. RFC 3339, UTC.
    pub day: String,
    /// Which day of the warm-up it is, from 0. `None`: the relay has no warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up_day: Option<u32>,
    /// Most messages of this day, all workers together.
    pub limit: u64,
    pub messages: u64,
    /// Random number of this append.
    pub draw: u64,
    /// The worker.
    pub by: String,
}

impl Reservation {
    pub fn key(&self) -> String {
        format!("reservation/{}/{}", self.day, self.draw)
    }
}
