//! How a session is held, and the one thing that a transaction can leave behind for the next.

use crate::smtp::settings::Timeouts;
use std::num::NonZeroU64;

/// How a session is held.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    pub is_pipelined: bool,
    pub transfer: Transfer,
    pub timeouts: Timeouts,
    pub max_messages: Option<NonZeroU64>,
}

/// How the content is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// DATA, dot-stuffed, with a final dot.
    Data,
    /// One BDAT chunk with its length (RFC 3030).
    Bdat,
}

/// Whether RSET has to end a transaction that was left open.
#[derive(Debug, Default)]
pub struct Reset {
    /// RSET must be written before the next MAIL FROM.
    pub is_needed: bool,
    /// RSET was written. Its reply comes before that to MAIL FROM.
    pub is_awaited: bool,
}

impl Reset {
    pub fn take_needed(&mut self) -> bool {
        std::mem::take(&mut self.is_needed)
    }

    pub fn take_awaited(&mut self) -> bool {
        std::mem::take(&mut self.is_awaited)
    }
}
