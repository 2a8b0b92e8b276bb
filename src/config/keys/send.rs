//! The keys of `[send]`.

use crate::config::declare::keys;
use crate::config::schema::Limits;
use crate::config::source::Sourced;
use crate::domain::rate::Rate;

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
    }
}
