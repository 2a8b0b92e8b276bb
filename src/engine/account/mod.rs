//! What became of everybody: asks the read model, and changes nothing.
//!
//! - `status` counts; `remaining` what `--drain` and `run` wait for
//! - `verify` the same counts from events and queue, and whether they agree
//! - `recipients` what became of each recipient, in row order
//! - `events` outcomes as they were written; `kept` from when on

pub mod events;
pub mod kept;
pub mod recipients;
pub mod remaining;
pub mod row;
pub mod status;
pub mod verify;

pub use crate::engine::read_model::campaign_topic::{catch_up, read_ledger};
pub use crate::engine::read_model::{AccountError, View};
pub use events::{EventFilter, events};
pub use kept::KeptEvents;
pub use recipients::{RecipientRow, Recipients, Told, UNKNOWN, recipients};
pub use remaining::{Remaining, pending_at, remaining, remaining_in};
pub use row::{CampaignRow, State};
pub use status::{Left, Status, left, status};
pub use verify::{Verification, VerifyRequest, verify};
