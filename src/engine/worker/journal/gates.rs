//! The lanes' answers about sites, in the form in which the machines ask.

use crate::engine::worker::lanes::Lanes;
use crate::protocol::Ledger;
use crate::protocol::machine::CycleView;
use std::rc::Rc;
use std::time::SystemTime;

/// Borrowed by a [`CycleView`].
pub(super) struct Gates<'a> {
    is_closed: Box<dyn Fn(&str) -> bool + 'a>,
    reserve: Box<dyn Fn(&str) -> bool + 'a>,
}

impl<'a> Gates<'a> {
    pub(super) fn new(lanes: &Rc<Lanes>) -> Gates<'a> {
        lanes.begin_reserving();
        let (closed, reserve) = (lanes.clone(), lanes.clone());
        Gates {
            is_closed: Box::new(move |address| closed.is_closed(address)),
            reserve: Box::new(move |address| reserve.reserve(address)),
        }
    }

    pub(super) fn view<'b>(&'b self, ledger: &'b Ledger, now: SystemTime) -> CycleView<'b> {
        CycleView {
            ledger,
            now,
            is_closed: self.is_closed.as_ref(),
            reserve: self.reserve.as_ref(),
        }
    }
}
