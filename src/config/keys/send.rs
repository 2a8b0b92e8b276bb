//! The keys of `[send]`.

use crate::config::declare::keys;
use crate::config::schema::{Limits, ListItem};
use crate::config::source::Sourced;
use crate::domain::rate::Rate;
use crate::domain::send_windows::{SendWindow, SendWindows};

keys! {
    /// Limits for sending.
    pub struct SendKeys in "send" as Table {
        /// Most messages that leave, all workers together: `30/min`, `500/s`, `10000/h`, `2M/day` or `unlimited`
        ///
        /// The rate belongs to the queue. A worker that starts with another rate changes it for all workers within 2 s. A
        /// rate given by flag ends with the last worker that was given it; then that of the settings is in force again.
        rate: Sourced<Rate> {
            default: "30/min",
            default_text: "`30/min` to a server, `unlimited` to `maildir:`",
            variables: &["MAILQ_RATE"],
            flag: "--rate",
        }

        /// Messages that may leave at once after a pause
        ///
        /// The rate may then be exceeded by `burst - 1` messages in one window, such as one minute for `30/min`.
        burst: u32 {
            default: "1",
            limits: Limits::Whole(1, 1_000_000),
            variables: &["MAILQ_BURST"],
            flag: "--burst",
        }

        /// Connections of one worker, all relays together
        connections: u32 {
            default: "20",
            limits: Limits::Whole(1, 10_000),
            variables: &["MAILQ_CONNECTIONS", "MAX_WORKERS"],
            flag: "--connections",
        }

        /// Most messages that a killed worker can leave in doubt (K)
        ///
        /// The relay may have accepted these messages, but no record of it exists; an event names each of them. A
        /// higher number is faster on slow disks.
        max_uncommitted: u32 {
            default: "64",
            limits: Limits::Whole(1, 65_536),
            variables: &["MAILQ_MAX_UNCOMMITTED"],
            flag: "--max-uncommitted",
        }

        /// When mail may leave: `["Mon-Fri 09:00-18:00 Europe/Berlin"]`
        ///
        /// Each window has days (`Mon-Fri`, `Sat,Sun`; without them every day), times (`22:00-06:00` ends on the next
        /// day, `24:00` is the end of the day) and a time zone (without one that of the host). Outside of all windows
        /// no message begins; those that are with a relay are finished. `send --drain` and `run` wait for the next
        /// window, or end with 75 if it opens later than `--max-wait`.
        windows: Option<Vec<SendWindow>> {
            default_text: "mail may leave at any time",
            example: "Mon-Fri 09:00-18:00 Europe/Berlin",
        }
    }
}

impl SendKeys {
    /// When mail may leave.
    pub fn send_windows(&self) -> SendWindows {
        SendWindows::new(self.windows.clone().unwrap_or_default())
    }
}

impl ListItem for SendWindow {
    const EXPECTS: &'static str = "windows like `\"Mon-Fri 09:00-18:00 Europe/Berlin\"`";

    fn parse(text: &str) -> Result<SendWindow, String> {
        SendWindow::parse(text)
    }
}
