//! Does the SMTP session tell the truth about every message, whatever a relay does?

mod faults;
mod feeds;
mod login;
mod maildir;
mod modes;
mod waiting;
