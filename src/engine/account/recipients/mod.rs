//! What became of each recipient of a run, in row order. One pass over the events and one over the queue go into
//! files by ranges of rows, so memory holds one range at a time, whatever the run's size.

mod fold;
mod listing;
mod shelves;

pub use listing::{RecipientRow, Recipients, recipients};
