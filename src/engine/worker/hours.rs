//! Whether mail may leave now, by the send windows. Every message asks, so the answer is kept for a second; when the next
//! window opens is kept until then.

use crate::clock::Clock;
use crate::domain::send_windows::SendWindows;
use jiff::Zoned;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

pub struct SendHours {
    windows: SendWindows,
    clock: Rc<dyn Clock>,
    /// A second of wall time, and whether mail may leave in it. Windows begin and end with a minute.
    known: Cell<Option<(u64, bool)>>,
    /// The last answer of `next`.
    opens: RefCell<Option<Zoned>>,
}

impl SendHours {
    pub fn new(windows: SendWindows, clock: Rc<dyn Clock>) -> SendHours {
        SendHours {
            windows,
            clock,
            known: Cell::new(None),
            opens: RefCell::new(None),
        }
    }

    pub fn are_open(&self) -> bool {
        let now = self.clock.now();
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if let Some((_, is_open)) = self.known.get().filter(|(known, _)| *known == second) {
            return is_open;
        }
        let is_open = self.windows.is_open(now);
        self.known.set(Some((second, is_open)));
        is_open
    }

    /// When the next window opens. `None`: mail may leave now.
    pub fn next(&self) -> Option<Zoned> {
        let mut opens = self.opens.borrow_mut();
        let now = self.clock.now();
        let is_ahead = |next: &Zoned| SystemTime::from(next.timestamp()) > now;
        if self.are_open() {
            *opens = None;
        } else if !opens.as_ref().is_some_and(is_ahead) {
            *opens = self.windows.next(now);
        }
        opens.clone()
    }

    /// The first moment from then on at which mail may leave.
    pub fn from(&self, at: SystemTime) -> SystemTime {
        let next = self.next().map(|next| SystemTime::from(next.timestamp()));
        match next.filter(|next| *next > at) {
            Some(next) if at >= self.clock.now() => next,
            _ => self.windows.from(at),
        }
    }
}
