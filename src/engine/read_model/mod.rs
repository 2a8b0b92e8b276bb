//! What the queue holds, read back: logs, commit strings and campaign records, put together so that `account`,
//! `letters` and `recover` ask one model instead of reading the logs in ways of their own.
//!
//! - `scan` a log from one offset to another
//! - `campaign_topic` read to its end, appended to
//! - `view` commit strings and ledger, read in the order that makes them agree
//! - `chunks` read by one function each, and those that wait in a tier; `places` where queued messages are
//! - `event` outcomes, and the pass over their logs
//! - `facts` what is known of each recipient, collected in any order and given back by run and row; `fact` one of them
//!   and its bytes, `history` those of one recipient and what they come to, `collect` what several queries need
//! - `sorter` more entries than memory holds, `history_file` histories to look up, `temporary_file` where both lie
//! - `findings` what cannot be read or does not hold
//! - `letter` a dead letter as a record; `letters` those that the dlq has; `naming` which letters replays and purges name

pub mod campaign_topic;
pub mod chunks;
pub mod collect;
pub mod error;
pub mod event;
pub mod fact;
pub mod facts;
pub mod findings;
pub mod history;
pub mod history_file;
pub mod letter;
pub mod letters;
pub mod naming;
pub mod places;
pub mod scan;
pub mod sorter;
mod temporary_file;
pub mod view;

pub use error::AccountError;
pub use view::View;
