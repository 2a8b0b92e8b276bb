//! Floor 3: the only reader of configuration files and variables. Out come typed settings, each of which knows where
//! it came from; nothing above or below looks at a file, a flag or the environment to learn a setting.

mod campaign;
mod document;
mod error;
mod kafka;
mod key_file;
mod keys;
mod layers;
mod logging;
mod project;
mod relays;
mod sample;
mod secret;
mod settings;
mod source;

pub use campaign::{CampaignFile, Mailbox, OncePer, name as checked_name};
pub use error::ConfigError;
pub use kafka::KafkaConfig;
pub use key_file::load_or_create_key;
pub use keys::{CAMPAIGN, Key, Kind, PROJECT, Schema, Shape};
pub use layers::Flags;
pub use logging::{LogFormat, LogSettings};
pub use project::{PROJECT_FILE, Project};
pub use relays::RelayConfig;
pub use sample::{manual_page, project_sample};
pub use secret::PasswordSource;
pub use settings::{QueueUrl, SendSettings, Settings, SiteConfig};
pub use source::{Origin, Place, Source, Variables};

use std::path::Path;

/// A project and what is in force in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub project: Project,
    pub settings: Settings,
    pub variables: Variables,
}

/// Finds the project and reads its settings. `campaign` is the campaign or recipients file that the command names;
/// `config` is `--config`.
pub fn load(
    campaign: Option<&Path>,
    config: Option<&Path>,
    flags: &Flags,
    variables: Variables,
) -> Result<Loaded, ConfigError> {
    let project = Project::discover(campaign, config, &variables)?;
    let settings = Settings::read(&project, flags, &variables)?;
    for (name, nearest) in keys::unknown_variables(variables.names()) {
        tracing::warn!(name, nearest, "no such variable; see mailq.toml(5)");
    }
    Ok(Loaded {
        project,
        settings,
        variables,
    })
}
