//! A campaign file under another name, and the run that was enqueued under it.

use crate::domain::digest::sha256;
use crate::engine::account::CampaignRow;
use std::fmt;
use std::sync::Arc;

/// The input that is the fingerprint of the campaign file.
pub const CAMPAIGN_FILE: &str = "campaign";

/// What to do about such a run.
#[derive(Debug, Clone, Default)]
pub struct Renaming {
    /// An error instead of a warning, because nobody reads the warnings of cron.
    pub is_refused: bool,
    /// The campaign file's text, which may have another name in it since.
    pub campaign_file: Arc<str>,
}

/// The other campaign's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameRun {
    pub campaign: String,
    pub run: String,
    /// Or in doubt.
    pub delivered: u64,
    /// Pending and retrying.
    pub unfinished: u64,
}

impl From<CampaignRow> for SameRun {
    fn from(row: CampaignRow) -> SameRun {
        SameRun {
            // What is in doubt may have been delivered.
            delivered: row.delivered + row.in_doubt,
            unfinished: row.unfinished(),
            campaign: row.campaign,
            run: row.run,
        }
    }
}

impl SameRun {
    /// A run that was cancelled before its first message has none.
    pub fn has_recipients(&self) -> bool {
        self.delivered + self.unfinished > 0
    }
}

impl fmt::Display for SameRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SameRun {
            campaign,
            run,
            delivered,
            unfinished,
        } = self;
        write!(
            f,
            "run `{campaign}/{run}` has the same list and content ({delivered} delivered, {unfinished} pending)"
        )
    }
}

impl Renaming {
    /// Fingerprints that the campaign file has with this name, and without a name.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let text = &self.campaign_file;
        let Some(line) = text.split_inclusive('\n').find(|line| is_name(line)) else {
            return Vec::new();
        };
        let old_value = line.split('"').nth(1).unwrap_or_default();
        let named = line.replacen(&format!("\"{old_value}\""), &format!("\"{name}\""), 1);
        let texts = [text.replacen(line, &named, 1), text.replacen(line, "", 1)];
        texts.map(|text| sha256(text.as_bytes())).to_vec()
    }
}

fn is_name(line: &str) -> bool {
    let value = line.trim_start().strip_prefix("name");
    value.is_some_and(|value| value.trim_start().starts_with('='))
}
