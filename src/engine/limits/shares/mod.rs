//! Limits shared out among workers whose buckets are their own: each reads the same commit texts and comes to the same
//! answer, without a coordinator. All but `watch` is pure; that reads the strings for the worker.
//!
//! Why all of them together never exceed a limit. At each instant every worker uses the share that it had
//! [`EFFECTIVE_AFTER`] earlier, by an observation read before that time and one read after it, and the lower of both
//! where these differ. So all go by one state, in which the shares add up to the limit, and a worker without an
//! observation from after that time uses nothing. However slow the reads are and however far apart, they only cost time
//! in which a share is unused: from the last observation without a change to the first one with it. After a gap a
//! worker starts again from nothing.
//!
//! A worker that owned partitions and owns none any more is the exception: others have committed in its place, so its
//! claims are void and it sends nothing. It is taken out of the older observations too, so its share is used at once.
//! When it owns a partition again it starts from nothing, like a new worker.
//!
//! Work that comes and goes between two reads could be observed by one worker and missed by another. So a text that has
//! moved within [`EFFECTIVE_AFTER`] counts like work that is still there ([`Activity`]): if one worker observes the
//! work, the other observes it or the move.
//!
//! Shares are equal, not by partitions or messages. Partitions say nothing of the work in them, and the number of
//! messages changes with every commit, so two workers would never compute from the same. Equal shares use up the limit
//! wherever the work lies, because a worker that has finished leaves its share to the others; what is lost is the part
//! of a share that a worker with less work does not use.

mod activity;
mod schedule;
mod split;
mod watch;

pub use activity::{Activity, Texts};
pub use schedule::{EFFECTIVE_AFTER, OBSERVE_EVERY, ShareSchedule};
pub use split::{Place, Share};
pub use watch::Shares;
