//! What other tasks pass to the journal: changes of ownership and finished reads.

use super::lanes::Lanes;
use super::reader::Read;
use crate::domain::topic::TopicPartition;
use crate::queue::{Membership, Ownership, QueueError, Token};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;

/// A read, and the ownership for which it was started.
pub type Finished = (TopicPartition, Token, Result<Read, QueueError>);

#[derive(Default)]
pub struct Inbox {
    changes: RefCell<VecDeque<Ownership>>,
    reads: RefCell<Vec<Finished>>,
    /// Notified when something was put in.
    pub wake: Rc<Notify>,
}

impl Inbox {
    /// Passes on changes of ownership for as long as the task lives. The lanes get those that end a claim at once,
    /// because the journal may be waiting for a commit.
    pub async fn listen(self: Rc<Inbox>, membership: Rc<dyn Membership>, lanes: Rc<Lanes>) {
        loop {
            let change = membership.changed().await;
            if let Ownership::Uncertain { at, token } | Ownership::Lost { at, token } = change {
                lanes.doubt(at, token);
            }
            self.changes.borrow_mut().push_back(change);
            self.wake.notify_one();
        }
    }

    pub fn put_read(&self, read: Finished) {
        self.reads.borrow_mut().push(read);
        self.wake.notify_one();
    }

    /// The changes since the last call, in order.
    pub fn changes(&self) -> VecDeque<Ownership> {
        self.changes.take()
    }

    pub fn reads(&self) -> Vec<Finished> {
        self.reads.take()
    }
}
