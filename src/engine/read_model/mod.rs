//! What the queue holds, read back: logs, commit strings and campaign records, put together so that `account`,
//! `letters` and `recover` ask one model instead of reading the logs in ways of their own.
//!
//! - `scan` a log from one offset to another
//! - `campaign_topic` read to its end, appended to
//! - `view` commit strings and ledger, read in the order that makes them agree
//! - `places` where queued messages are; `tiers` what waits in the retry tiers
//! - `event` outcomes, and the pass over their logs
//! - `facts` what is known of each recipient, collected in any order and given back by run and row; `fact` one of them
//!   and its bytes, `history` those of one recipient and what they come to, `sorter` and `temporary_file` the disk
//! - `findings` what cannot be read or does not hold
//! - `letter` a dead letter as a record; `letters` those that the dlq has; `naming` which letters replays and purges name

pub mod campaign_topic;
pub mod error;
pub mod event;
pub mod fact;
pub mod facts;
pub mod findings;
pub mod history;
pub mod letter;
pub mod letters;
pub mod naming;
pub mod places;
pub mod scan;
mod sorter;
mod temporary_file;
pub mod tiers;
pub mod view;

pub use error::AccountError;
pub use view::View;
