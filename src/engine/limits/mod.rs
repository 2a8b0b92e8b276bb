//! Limits of a rate: of the whole queue, of each relay, and of each site that has one.
//!
//! - `token_bucket` a rate as slots in time (GCRA)
//! - `shares` this worker's part of each limit, where every process has a bucket of its own
//! - `pace` the slots of one limit: from the queue's bucket, or from this process's own
//!
//! The lanes take a slot of every limit that a message is under before it begins; the journal claims no more messages
//! than there are slots.

pub mod pace;
pub mod shares;
pub mod token_bucket;
