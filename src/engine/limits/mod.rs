//! Limits of a rate: of the whole queue, of each relay, and of each site that has one.
//!
//! - `token_bucket` a rate as slots in time (GCRA)
//! - `shares` this worker's part of each limit, where every process has a bucket of its own
//! - `quota` how many messages a relay takes a day; `allowance` what this worker has reserved of that
//! - `pace` the slots of one limit: from the queue's bucket, or from this process's own
//!
//! The lanes take a slot of every limit that a message is under before it begins; the journal claims no more messages
//! than there are slots.

pub mod allowance;
pub mod pace;
pub mod quota;
pub mod shares;
pub mod token_bucket;
