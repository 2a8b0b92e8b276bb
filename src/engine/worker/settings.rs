//! What a worker needs, and what it reports.

use crate::clock::Clock;
use crate::domain::ids::RunKey;
use crate::domain::project_key::ProjectKey;
use crate::domain::rate::Rate;
use crate::domain::records::RateInForce;
use crate::domain::send_windows::SendWindows;
use crate::domain::site::Sites;
use crate::domain::topic::TopicPartition;
use crate::engine::account::AccountError;
use crate::engine::breaker;
use crate::engine::limits::quota::Quota;
use crate::engine::policy::RetrySchedule;
use crate::engine::worker::figures::Watched;
use crate::protocol::invariant::Broken;
use crate::protocol::ledger::LedgerError;
use crate::queue::{Queue, QueueError};
use crate::smtp::Relay;
use jiff::Zoned;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

pub struct Setup {
    pub queue: Rc<dyn Queue>,
    pub clock: Rc<dyn Clock>,
    pub relays: Vec<RelayLane>,
    /// Which domains are one site.
    pub groups: Rc<Sites>,
    /// Limits of receiving sites, by site name.
    pub sites: BTreeMap<String, SiteLimit>,
    pub retry: RetrySchedule,
    /// K: messages claimed and not done at most, over all partitions.
    pub max_uncommitted: usize,
    /// `host/process/random`, unique among running workers; part of commits and events.
    pub name: String,
    pub trace_id: String,
    pub key: ProjectKey,
    /// Published if the queue has none; if `publish_rate`, also if the queue has another.
    pub rate: RateInForce,
    /// The rate was given (flag, variable or file), not the default.
    pub publish_rate: bool,
    /// First part of topic names, for messages.
    pub env: String,
    /// Decode chunks on threads of their own. The simulation does not, because it must replay exactly.
    pub decode_on_threads: bool,
    /// [`crate::protocol::machine::Rules::max_text`], [`crate::queue::MAX_COMMIT_TEXT`] at most.
    pub max_text: usize,
    /// [`crate::protocol::machine::Rules::base_after`]. `usize::MAX`: only half of a commit's room counts.
    pub base_after: usize,
    /// When mail may leave.
    pub windows: SendWindows,
    pub goal: Goal,
}

/// One relay with its limits. Rates are for all workers together, connections for this one.
#[derive(Clone)]
pub struct RelayLane {
    pub relay: Rc<dyn Relay>,
    /// Its share of all connections.
    pub connections: usize,
    /// At the most, while others are paused.
    pub most_connections: usize,
    pub weight: u32,
    pub rate: Rate,
    /// Of a day, for all workers.
    pub quota: Option<Quota>,
}

#[derive(Debug, Clone, Copy)]
pub struct SiteLimit {
    pub rate: Rate,
    /// Messages to this site in flight at once, of this worker.
    pub connections: usize,
}

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Never.
    Serve,
    /// When nothing that may be sent is pending or retrying. With `max_wait`, also when everything left is due later
    /// than that, no relay was available for so long, or other workers hold what is left and did nothing for so long.
    Drain { max_wait: Option<Duration> },
    /// The same for one run.
    Run {
        run: RunKey,
        max_wait: Option<Duration>,
    },
}

/// Asks a worker for a clean stop.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Cell<bool>,
    wake: Notify,
}

impl Stop {
    pub fn ask(&self) {
        self.asked.set(true);
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    pub async fn asked(&self) {
        if !self.is_asked() {
            self.wake.notified().await;
        }
    }
}

/// Receives what happens in a worker.
pub trait Observer {
    /// The worker has joined, and may be looked at from now on.
    fn begun(&self, _worker: Rc<dyn Watched>) {}
    /// One line that an operator should see.
    fn notice(&self, notice: Notice);
    /// Totals of this process, a few times a second.
    fn progress(&self, summary: &Summary);
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A relay or site is held and probed, or back.
    Breaker(breaker::Notice),
    RateChanged {
        old: RateInForce,
        new: RateInForce,
    },
    /// A partition is owned and not worked on any more, because something in it cannot be read or an invariant is
    /// broken.
    PartitionStopped {
        partition: String,
        why: String,
    },
    QueueTrouble(String),
    /// Nothing to do before this.
    Waiting {
        until: SystemTime,
    },
    /// Mail may leave from then on.
    OutsideWindows {
        next: Zoned,
    },
    /// The relay takes no more today.
    QuotaUsedUp {
        relay: String,
        until: SystemTime,
    },
    /// The relay takes nothing, because a worker has reserved of a day that has not begun here.
    NewerDayReserved {
        relay: String,
        day: SystemTime,
    },
    /// These workers hold all that is left, and commit nothing.
    HeldBy {
        workers: Vec<String>,
    },
    /// This worker's share of the rate changed, where workers share it out. `None`: it has none for now.
    Share {
        limit: Rate,
        share: Option<Rate>,
    },
    /// A limit allows fewer messages in its window than there are workers with something to send, and this one waits.
    NoShare {
        /// `the rate`, ``relay `…` `` or ``site `…` ``.
        of: String,
        limit: Rate,
        workers: u64,
    },
}

/// What this process did; with [`Goal::Run`] for that run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub dead: u64,
    pub suppressed: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub in_doubt: u64,
    /// Delivered for other runs than that of [`Goal::Run`].
    pub delivered_of_others: u64,
    pub attempts: u64,
    pub elapsed: Duration,
    /// Why the goal was not reached.
    pub left_work: Option<LeftWork>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftWork {
    DueLater(Duration),
    /// The send windows open again after this.
    OutsideWindows(Duration),
    /// The daily quotas of all relays are used up, and begin anew after this.
    QuotaUsedUp(Duration),
    Paused,
    Stopped,
    /// Some partitions are stopped; everything else is done.
    PartitionsStopped,
    /// Other workers hold what is left, and have committed nothing for longer than `max_wait`.
    HeldByOthers,
    /// No relay has taken anything for longer than `max_wait`.
    RelaysAway,
    /// Every relay refuses our login.
    LoginRefused,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("topic `{0}` does not exist")]
    MissingTopic(String),
    #[error("the queue did not answer during the stop, so some outcomes were not recorded")]
    CutOff,
    /// The last owner of these was killed, and the queue has forgotten its commits since.
    #[error("the commits of {} are lost, and their last worker did not stop cleanly", names(.0))]
    CommitsLost(Vec<TopicPartition>),
}

fn names(partitions: &[TopicPartition]) -> String {
    let shown: Vec<String> = partitions
        .iter()
        .take(3)
        .map(|at| format!("`{at}`"))
        .collect();
    match partitions.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more partitions", shown.join(", ")),
    }
}
