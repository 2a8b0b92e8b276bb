//! Floor 0: plain types that every other folder uses. No I/O, no clock, no tasks.

pub mod address;
pub mod chunk;
pub mod content;
pub mod counters;
pub mod csv_cell;
pub mod digest;
pub mod duration;
pub mod event;
pub mod ids;
pub mod mailbox;
pub mod mailbox_key;
mod named;
pub mod nearest;
pub mod outcome;
pub mod project_key;
pub mod rate;
pub mod recipient;
pub mod records;
pub mod reservation;
pub mod send_windows;
pub mod shell_word;
pub mod shown;
pub mod site;
pub mod topic;
pub mod worker_name;
