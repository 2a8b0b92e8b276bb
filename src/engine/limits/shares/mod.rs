//! Limits shared out among workers whose buckets are their own: everyone looks at the same strings and comes to the
//! same answer, without a coordinator. All but `watch` is pure; that reads the strings for the worker.
//!
//! Why all of them together never exceed a limit. At each instant everyone uses what its share was [`VIEW_LASTS`]
//! earlier, by a view read before that moment and one read after it, and where these differ the lower of both. So all
//! go by one state, in which the shares add up to the limit; who has no view from after that moment uses nothing. How
//! far apart and how slow the readings are only costs time in which a share is nobody's: from the last look that did not
//! see a change until the first that did. After a gap a worker starts anew, from nothing.
//!
//! Who owned partitions and owns none any more is the exception: others have committed in its place, so its claims are
//! void and it sends nothing. It is taken out of the older views too, so its share is used as soon as this is seen. When
//! it owns one again it starts from nothing, like a worker that is new.
//!
//! Work that comes and goes between two readings could be seen by one worker and missed by another. So who sends is
//! judged by what holds still, [`Census`]: a string that has moved within [`VIEW_LASTS`] counts like work that is still
//! there, so of work that one worker sees the other sees that or its trace.
//!
//! Shares are equal, not by partitions or messages. Partitions say nothing of the work in them, and numbers of
//! messages change with every commit: two workers would never compute from the same. Equal shares use up the limit
//! wherever the work lies, since who has finished leaves its share to the others; they lose what a worker with less
//! work than its share does not use.

mod census;
mod split;
mod term;
mod watch;

pub use census::{Census, Texts};
pub use split::{Place, Portion};
pub use term::{LOOK_EVERY, Term, VIEW_LASTS};
pub use watch::Shares;
