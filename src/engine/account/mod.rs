//! What became of everybody: reads what workers and enqueue have left in the queue, and changes nothing.
//!
//! - `scan` a log from here to there; the campaign topic to its end
//! - `view` the commit strings and the ledger, read in the order that makes them agree
//! - `places` where messages are that are still queued
//! - `status` counts; `remaining` what `--drain` and `run` wait for
//! - `verify` the same counts from events and queue, and whether they agree
//! - `recipients` what became of each recipient, in row order
//! - `events` outcomes as they were written

pub mod error;
pub mod events;
pub mod places;
pub mod recipients;
pub mod remaining;
pub mod row;
pub mod scan;
pub mod status;
#[cfg(test)]
pub(crate) mod story;
mod tiers;
pub mod verify;
pub mod view;

pub use error::AccountError;
pub use events::{EventFilter, events};
pub use recipients::{RecipientRow, Recipients, recipients};
pub use remaining::{Remaining, remaining};
pub use row::{CampaignRow, State};
pub use scan::{catch_up, read_ledger};
pub use status::{Status, status};
pub use verify::{Verification, verify};
pub use view::View;
