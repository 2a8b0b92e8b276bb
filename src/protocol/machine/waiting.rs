//! Messages that wait for nothing but to be claimed.

use super::opened::Site;
use crate::domain::ids::{Offset, RunKey};
use crate::protocol::positions::Positions;

/// Messages of one chunk to one site that may go.
pub(super) struct Waiting<'a> {
    pub site: &'a Site,
    pub offset: Offset,
    pub run: RunKey,
    pub positions: Positions,
    /// The site takes no more than so many now.
    pub is_limited: bool,
}

/// How many messages these are, counted no further than `limit`.
pub(super) fn count_up_to<'a>(limit: usize, waiting: impl Iterator<Item = Waiting<'a>>) -> usize {
    let mut count = 0;
    for waiting in waiting {
        count += waiting.positions.count();
        if count >= limit {
            return limit;
        }
    }
    count
}
