//! The keys of `[events]`.

use crate::config::declare::keys;
use std::time::Duration;

keys! {
    /// The record of every outcome.
    pub struct EventsKeys in "events" as Table {
        /// How long outcomes are kept after their run is done
        ///
        /// `mailq verify` and `mailq recipients` can report on a run for this long.
        keep: Duration {
            default: "90d",
            variables: &["MAILQ_EVENTS_KEEP"],
        }
    }
}
