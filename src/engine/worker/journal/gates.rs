//! The lanes' answers about sites, in the form in which the machines ask.

use crate::engine::worker::lanes::Lanes;
use crate::protocol::Ledger;
use crate::protocol::machine::CycleView;
use std::rc::Rc;
use std::time::SystemTime;

/// Borrowed by a [`CycleView`].
pub(super) struct Gates<'a> {
    is_closed: Box<dyn Fn(&str) -> bool + 'a>,
    flow: Box<dyn Fn(&str) -> usize + 'a>,
    room: Box<dyn Fn(&str) -> usize + 'a>,
    reserve: Box<dyn Fn(&str) -> bool + 'a>,
}

impl<'a> Gates<'a> {
    pub(super) fn new(lanes: &Rc<Lanes>) -> Gates<'a> {
        lanes.begin_reserving();
        let (closed, flow) = (lanes.clone(), lanes.clone());
        let (room, reserve) = (lanes.clone(), lanes.clone());
        Gates {
            is_closed: Box::new(move |site| closed.is_closed(site)),
            flow: Box::new(move |site| flow.site_flow(site)),
            room: Box::new(move |site| room.site_room(site)),
            reserve: Box::new(move |site| reserve.reserve(site)),
        }
    }

    pub(super) fn view<'b>(&'b self, ledger: &'b Ledger, now: SystemTime) -> CycleView<'b> {
        CycleView {
            ledger,
            now,
            is_closed: self.is_closed.as_ref(),
            flow: self.flow.as_ref(),
            room: self.room.as_ref(),
            reserve: self.reserve.as_ref(),
        }
    }
}
