//! Floor 3: the only reader of configuration files and variables. It returns typed settings, each with its origin. No
//! other module reads a file or the environment to learn a setting.
//!
//! `keys/` declares each key once, with its type, default, limits and texts. `declare.rs` is how, `schema/` is what a key is. `document.rs`
//! checks a file, `advice.rs` and `cure.rs` say what to write instead, `layers.rs` decides between flag, variable, file and default, `settings.rs`, `relays.rs`, `kafka.rs`
//! and `campaign.rs` derive the rest. `sample.rs` and `manual.rs` print the keys.

mod advice;
mod campaign;
mod cure;
mod declare;
mod document;
mod environment;
mod error;
mod hidden;
mod kafka;
mod key_file;
mod keys;
mod layers;
mod logging;
mod mailbox;
mod manual;
mod project;
mod queue_url;
mod relays;
mod sample;
mod schema;
mod secret;
mod settings;
mod sites;
mod source;
mod trust;

pub use campaign::{CampaignFile, name as checked_name};
pub use document::MAX_FILE_BYTES;
pub use error::ConfigError;
pub use kafka::KafkaConfig;
pub use key_file::load_or_create_key;
pub use keys::{
    Auth, CampaignKeys, EventsKeys, KafkaKeys, OncePer, ProjectKeys, RelayKeys, SendKeys, SiteKeys,
};
pub use layers::Flags;
pub use logging::{LogFormat, LogSettings};
pub use mailbox::MailboxTemplate;
pub use manual::manual_page;
pub use project::{PROJECT_FILE, Project};
pub use queue_url::QueueUrl;
pub use relays::RelayConfig;
pub use sample::project_sample;
pub use schema::Key;
pub use secret::PasswordSource;
pub use settings::Settings;
pub use source::{Origin, Place, Source, Sourced, Variables};
pub use trust::{check_mode, user_name};

use std::path::Path;

/// A project and the settings that are in force in it.
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
    warn_of_unknown(&variables);
    Ok(Loaded {
        project,
        settings,
        variables,
    })
}

/// A variable that nobody reads is no error: it may belong to another version of mailq on this host.
fn warn_of_unknown(variables: &Variables) {
    let known: Vec<&'static str> = environment::VARIABLES
        .iter()
        .flat_map(|variable| variable.names)
        .copied()
        .collect();
    for (name, nearest) in keys::PROJECT.unknown_variables(variables.names(), &known) {
        tracing::warn!(name, nearest, "unknown variable; see mailq.toml(5)");
    }
}
