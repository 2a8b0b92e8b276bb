//! What the queue holds, read back: logs, commit strings and campaign records, put together so that `account`,
//! `letters` and `recover` ask one model instead of reading the logs in ways of their own.
//!
//! - `scan` a log from one offset to another
//! - `campaign_topic` read to its end, appended to
//! - `view` commit strings and ledger, read in the order that makes them agree
//! - `places` where queued messages are; `tiers` what waits in the retry tiers
//! - `letter` a dead letter as a record; `naming` which letters replays and purges name

pub mod campaign_topic;
pub mod error;
pub mod letter;
pub mod naming;
pub mod places;
pub mod scan;
pub mod tiers;
pub mod view;

pub use error::AccountError;
pub use view::View;
