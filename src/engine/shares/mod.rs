//! Limits shared out among workers whose buckets are their own: everyone looks at the same strings and comes to the
//! same answer, without a coordinator. Pure; `engine/worker` reads, and paces by what is in force here.
//!
//! Why all of them together never exceed a limit. Let the state of the queue change at the instant t, and the shares
//! that it stands for from S to S', each adding up to the limit. A worker that has not seen the change read its last
//! view before t, and what it read lasts [`VIEW_LASTS`] from before the reading: until t + 4 s it uses at most its S,
//! then nothing. One that has seen it uses at once the lower of both; more than its S only when views known for
//! [`VIEW_LASTS`] have all said so, and the first of them became known after t. So before t + 4 s everyone has at
//! most its part of S, and afterwards at most its part of S', however far apart and however slow the readings are.
//! After a gap between views longer than that a worker starts anew, from nothing.
//!
//! Work that comes and goes between two readings could be seen by one worker and missed by another. So who sends is
//! judged by what holds still, [`Census`]: a string that has moved since the last reading counts like work that is
//! still there, and of work that one worker sees the other sees that or its trace, one reading later at the latest.
//!
//! Shares are equal, not by partitions or messages. Partitions say nothing of the work in them, and numbers of
//! messages change with every commit: two workers would never compute from the same. Equal shares use up the limit
//! wherever the work lies, since who has finished leaves its share to the others; they lose what a worker with less
//! work than its share does not use.

mod census;
mod split;
mod term;

pub use census::{Census, Texts};
pub use split::{Place, Portion};
pub use term::{LOOK_EVERY, Term, VIEW_LASTS};
