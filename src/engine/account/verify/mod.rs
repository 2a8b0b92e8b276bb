//! Proves the sum. Reads every event once, the headers and sets of what is still queued, the letters of the dlq, and
//! wants for every row a final event or a place in the queue; then compares with what the workers have counted.
//!
//! Memory: 8 bytes a row, 16 more for an event that does not count, and the ids that replays and purges name.
//!
//! A letter that was purged is named in the campaign topic before it is removed: a dead row without a letter is fine
//! only if its letter (id and round) is named there. So a letter that is lost in any other way is found.

mod findings;
mod proof;
mod reading;
mod table;

pub use proof::{Verification, events_since, verify};
