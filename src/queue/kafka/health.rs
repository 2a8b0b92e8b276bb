//! What the clients of a handle last heard from brokers: kept for messages, and to tell a refused login from absence.

use crate::queue::QueueError;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The same trouble is logged this often: librdkafka repeats it dozens of times a second.
const SELDOM: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    login: Option<String>,
    trouble: Option<String>,
    /// A broker refused to say who answers for the group. librdkafka tells it once, not each time.
    group_denied: bool,
    logged_at: Option<Instant>,
    /// Of the producer or the member, the first there was: this process can append nothing any more, or own nothing.
    fatal: Option<String>,
    /// Why this process may be no member of the group.
    denied: Option<QueueError>,
}

/// Shared by all clients of a handle.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<Mutex<State>>);

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, code: Code, reason: &str) {
        let mut state = self.state();
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed => {
                state.login = Some(reason.to_string());
            }
            Code::Fatal => {
                state.fatal.get_or_insert_with(|| reason.to_string());
            }
            Code::GroupAuthorizationFailed => state.group_denied = true,
            // Says less than what was heard before it.
            Code::AllBrokersDown if state.trouble.is_some() => {}
            _ => state.trouble = Some(reason.to_string()),
        }
        if state.logged_at.is_none_or(|at| at.elapsed() >= SELDOM) {
            state.logged_at = Some(Instant::now());
            tracing::warn!(reason, "the Kafka cluster does not answer as it should");
        }
    }

    /// Something was answered: what was said before does not explain later silence.
    pub fn well(&self) {
        let mut state = self.state();
        state.login = None;
        state.trouble = None;
    }

    /// The group has answered.
    pub fn group_well(&self) {
        self.state().group_denied = false;
    }

    pub fn is_group_denied(&self) -> bool {
        self.state().group_denied
    }

    /// This process owns nothing any more, and a person must see to it.
    pub fn deny(&self, why: QueueError) {
        self.state().denied.get_or_insert(why);
    }

    pub fn denied(&self) -> Option<QueueError> {
        self.state().denied.clone()
    }

    pub fn refused_login(&self) -> Option<String> {
        self.state().login.clone()
    }

    pub fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    pub fn fatal(&self) -> Option<String> {
        self.state().fatal.clone()
    }
}
