//! Every key of `mailq.toml` and of a campaign file, declared once: one file for each table.

mod campaign;
mod events;
mod kafka;
mod project;
mod relay;
mod retry;
mod send;
mod site;

pub use campaign::{COLUMNS, CampaignKeys, HEADERS, OncePer, fits_a_name, is_name};
pub use events::EventsKeys;
pub use kafka::{KafkaKeys, PROPERTIES};
pub use project::ProjectKeys;
pub use relay::{Auth, RelayKeys, WarmUpKeys};
pub use retry::RetryKeys;
pub use send::SendKeys;
pub use site::SiteKeys;

use super::layers::Keys;
use super::schema::Schema;

/// `mailq.toml`.
pub const PROJECT: Schema = Schema {
    file: "`mailq.toml`",
    other: || &CAMPAIGN,
    page: "5 mailq.toml",
    tables: &[
        &ProjectKeys::TABLE,
        &SendKeys::TABLE,
        &RelayKeys::TABLE,
        &WarmUpKeys::TABLE,
        &SiteKeys::TABLE,
        &RetryKeys::TABLE,
        &EventsKeys::TABLE,
        &KafkaKeys::TABLE,
        &PROPERTIES,
    ],
};

/// A campaign file.
pub const CAMPAIGN: Schema = Schema {
    file: "the campaign file",
    other: || &PROJECT,
    page: "5 mailq.toml",
    tables: &[&CampaignKeys::TABLE, &HEADERS, &COLUMNS],
};
