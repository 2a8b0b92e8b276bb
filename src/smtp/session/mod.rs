//! One SMTP session on an established connection: mail transactions one after the other (RFC 5321 §3.3). With
//! PIPELINING (RFC 2920) MAIL, RCPT and DATA go in one write, and the content of a message in one write with the
//! commands of the next.

mod channel;
mod envelope_exchange;
mod mode;
mod outcome;
mod prepared;
mod transactions;

pub use mode::{Mode, Transfer};
pub use transactions::Session;
