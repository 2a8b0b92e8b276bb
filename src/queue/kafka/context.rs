//! The callbacks of every client: logs, errors, statistics and the token of an OAUTHBEARER login.

use super::bootstrap::Bootstrap;
use super::health::Health;
use super::oauth;
use super::shutdown::OpenClient;
use super::statistics::Statistics;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use std::error::Error;

#[derive(Clone)]
pub(super) struct Context {
    pub health: Health,
    pub token_command: Option<String>,
    pub statistics: Statistics,
    pub bootstrap: Bootstrap,
    pub _open: Option<OpenClient>,
}

impl Context {
    /// For one client: everything is shared but what `Bootstrap` knows of the client.
    pub fn for_client(&self) -> Context {
        Context {
            bootstrap: self.bootstrap.for_client(),
            ..self.clone()
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg};
        // Errors come through `error` too. The lower levels repeat a line many times a second while a broker is away,
        // and warn about properties of consumers in the producer and the reverse: all clients get the user's.
        match level {
            Emerg | Alert | Critical => tracing::error!(facility, "{message}"),
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.health.record_error(code, reason);
        }
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.bootstrap.observe(&statistics);
        self.statistics.record(statistics);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::fetch(self.token_command.as_deref()).map_err(Into::into)
    }
}

impl ConsumerContext for Context {}
