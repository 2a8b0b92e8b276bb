//! What librdkafka calls back in every client: logs, errors, and the token of an OAUTHBEARER login.

use super::alone::Alone;
use super::closing::Open;
use super::health::Health;
use super::statistics::Statistics;
use super::token;
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
    /// Each client's own: see `of_a_client`.
    pub alone: Alone,
    pub _open: Option<Open>,
}

impl Context {
    pub fn of_a_client(&self) -> Context {
        Context {
            alone: self.alone.anew(),
            ..self.clone()
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg};
        // What matters comes as an error too; while a broker is away the same is said many times a second, and
        // properties of the other kind of client are given to both.
        match level {
            Emerg | Alert | Critical => tracing::error!(facility, "{message}"),
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.health.note(code, reason);
        }
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.alone.note(&statistics);
        self.statistics.note(statistics);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        token::fetch(self.token_command.as_deref()).map_err(Into::into)
    }
}

impl ConsumerContext for Context {}
