//! The last errors of the clients of a handle. They explain a later timeout: was the login refused, a right missing or
//! the cluster away?

use crate::queue::QueueError;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often errors are logged: librdkafka repeats one dozens of times a second.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    login_refusal: Option<String>,
    last_error: Option<String>,
    /// A broker refused to name the group's coordinator. librdkafka reports this once, later requests only time out.
    is_group_denied: bool,
    logged_at: Option<Instant>,
    /// The first fatal error of the producer or the member: this process can append or own nothing any more.
    fatal: Option<String>,
    /// Why this process must not be a member of the group.
    membership_denied: Option<QueueError>,
}

/// Shared by all clients of a handle.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<Mutex<State>>);

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record_error(&self, code: Code, reason: &str) {
        let mut state = self.state();
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed => {
                state.login_refusal = Some(reason.to_string());
            }
            Code::Fatal => {
                state.fatal.get_or_insert_with(|| reason.to_string());
            }
            Code::GroupAuthorizationFailed => state.is_group_denied = true,
            // The error before it says more.
            Code::AllBrokersDown if state.last_error.is_some() => {}
            _ => state.last_error = Some(reason.to_string()),
        }
        if state
            .logged_at
            .is_none_or(|at| at.elapsed() >= LOG_INTERVAL)
        {
            state.logged_at = Some(Instant::now());
            tracing::warn!(reason, "the Kafka cluster does not answer as it should");
        }
    }

    /// A broker has answered: errors before this do not explain a later timeout.
    pub fn answered(&self) {
        let mut state = self.state();
        state.login_refusal = None;
        state.last_error = None;
    }

    /// The coordinator of the group has answered.
    pub fn group_answered(&self) {
        self.state().is_group_denied = false;
    }

    pub fn is_group_denied(&self) -> bool {
        self.state().is_group_denied
    }

    /// The group has refused this process, and a person must grant a right. The first reason is kept.
    pub fn deny_membership(&self, why: QueueError) {
        self.state().membership_denied.get_or_insert(why);
    }

    pub fn membership_denied(&self) -> Option<QueueError> {
        self.state().membership_denied.clone()
    }

    pub fn login_refusal(&self) -> Option<String> {
        self.state().login_refusal.clone()
    }

    pub fn last_error(&self) -> Option<String> {
        self.state().last_error.clone()
    }

    pub fn fatal(&self) -> Option<String> {
        self.state().fatal.clone()
    }
}
