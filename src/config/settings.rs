//! The settings in force, typed. Read once, at the start of a command.

use super::document::{self, Document};
use super::error::ConfigError;
use super::kafka::{self, KafkaConfig};
use super::keys::{EventsKeys, PROJECT, ProjectKeys, RetryKeys, SendKeys, SiteKeys};
use super::layers::Keys;
use super::layers::{Flags, Layers};
use super::project::{Project, display_name};
use super::queue_url::QueueUrl;
use super::relays::{self, RelayConfig};
use super::sites;
use super::source::{Origin, Variables};
use crate::domain::site::Sites;
use crate::engine::policy::RetrySchedule;
use crate::smtp::RelayAddress;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything in `mailq.toml`, its variables and its flags.
#[derive(Debug, Clone)]
pub struct Settings {
    pub queue: QueueUrl,
    /// First part of topic names.
    pub env: String,
    /// Absolute.
    pub key_file: PathBuf,
    pub lease: Duration,
    pub send: SendKeys,
    /// Empty if none is named anywhere.
    pub relays: Vec<RelayConfig>,
    /// Which domains are one site.
    pub groups: Sites,
    /// By the name of the site.
    pub sites: BTreeMap<String, SiteKeys>,
    pub retry: RetrySchedule,
    pub events: EventsKeys,
    pub kafka: KafkaConfig,
    /// Each value and where it comes from.
    pub origins: Vec<Origin>,
}

impl Settings {
    /// Reads the project's file and lays variables and flags over it.
    pub fn read(
        project: &Project,
        flags: &Flags,
        variables: &Variables,
    ) -> Result<Settings, ConfigError> {
        let (text, name) = match &project.file {
            Some(file) => (document::read_text(file)?, display_name(file)),
            None => (String::new(), String::new()),
        };
        let document = Document::parse(&text, name, &PROJECT)?;
        Settings::of(&document, project, flags, variables)
    }

    fn of(
        document: &Document<'_>,
        project: &Project,
        flags: &Flags,
        variables: &Variables,
    ) -> Result<Settings, ConfigError> {
        let layers = Layers::new(document, &project.root, variables, flags);
        let top = layers.top();
        let project: ProjectKeys = top.table()?;
        if matches!(project.queue, QueueUrl::Sqlite(_)) && !layers.properties().is_empty() {
            return Err(ConfigError::NoKafka(project.queue.to_string()));
        }
        let relays = relays::read(&top)?;
        let (groups, sites) = sites::read(&top)?;
        let send = top
            .table_reader(&SendKeys::TABLE)
            .with_default(SendKeys::rate(), default_rate(&relays));
        Ok(Settings {
            queue: project.queue,
            env: project.env,
            key_file: project.key_file,
            lease: project.lease,
            send: SendKeys::read(&send)?,
            relays,
            groups,
            sites,
            retry: top.table::<RetryKeys>()?.schedule()?,
            events: top.table()?,
            kafka: kafka::read(&top)?,
            origins: layers.origins(),
        })
    }
}

/// An outbox of files needs no limit. `None`: the default of the key, which is what most providers allow a private
/// account.
fn default_rate(relays: &[RelayConfig]) -> Option<&'static str> {
    let is_outbox = |relay: &RelayConfig| matches!(relay.keys.url.value, RelayAddress::Maildir(_));
    (!relays.is_empty() && relays.iter().all(is_outbox)).then_some("unlimited")
}

#[cfg(test)]
mod tests;
