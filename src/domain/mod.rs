//! Floor 0: the words of the product as plain types. No I/O, no clock, no tasks; everything above speaks in them.

pub mod address;
pub mod chunk;
pub mod content;
pub mod counters;
pub mod csv_cell;
pub mod duration;
pub mod event;
pub mod ids;
pub mod nearest;
pub mod outcome;
pub mod project_key;
pub mod rate;
pub mod recipient;
pub mod records;
pub mod site;
pub mod topic;
pub mod worker_name;
