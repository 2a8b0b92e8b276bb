//! What to enqueue and how: the settings of command line, campaign file and project as plain values.

use super::error::EnqueueError;
use super::queue_retry::QueueTimeout;
use super::renaming::Renaming;
use crate::domain::address::Address;
use crate::domain::chunk::MAX_ROWS;
use crate::domain::digest::hex;
use crate::domain::ids::RunId;
use crate::domain::project_key::ProjectKey;
use crate::domain::recipient::RecipientRow;
use crate::domain::records::InDoubtPolicy;
use crate::recipients::{Options, Tests, columns};
use crate::render::{Composer, Content, RenderError};
use ring::digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Composes the messages of one campaign and list. Called by several threads.
pub trait Compose: Send + Sync {
    /// One message without its `Date` field. `id` is without angle brackets.
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError>;
}

impl Compose for Composer {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        Composer::compose(self, row, id).map(|composed| composed.bytes)
    }
}

/// Checks a campaign's content against the columns of a list. Returns what a [`Job`] needs: the composer, the columns,
/// and the options with the columns that headers use.
pub fn composer(
    content: Content,
    recipients: &Path,
    options: Options,
) -> Result<(Composer, Vec<String>, Options), EnqueueError> {
    let columns = columns(recipients, &options)?;
    let options = Options {
        header_columns: content.header_columns(&columns),
        ..options
    };
    let name = recipients.display().to_string();
    let composer = content.composer(&columns, &name)?;
    let options = Options {
        tests: Tests(composer.row_tests(options.skip_invalid)),
        ..options
    };
    Ok((composer, columns, options))
}

/// Returns why an address must not be mailed, if so.
pub type SuppressionCheck = dyn Fn(&Address) -> Option<String> + Send + Sync;

/// Which run of the campaign this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunChoice {
    /// Named by the first 16 digits of the fingerprint of its inputs.
    Inputs,
    /// Named by a period (`once_per`): a day, week or month.
    Period(String),
    /// `--run NAME`. Enqueued whatever other runs there are.
    Named(String),
}

/// What earlier runs of the campaign mean for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlierRuns {
    /// One with other inputs is an error, unless the run has a name.
    #[default]
    Forbid,
    /// `--only-new`: everybody whom they have is left out.
    LeaveOut,
    /// `--replace`: the same, after what they have pending is cancelled.
    Cancel,
}

/// The input that says how many rows were left out because no message could be made for them.
pub const LEFT_OUT: &str = "left_out";

/// One call of enqueue.
#[derive(Clone)]
pub struct Job {
    pub campaign: String,
    pub run: RunChoice,
    pub earlier: EarlierRuns,
    pub renaming: Renaming,
    pub content: Arc<dyn Compose>,
    pub recipients: PathBuf,
    /// The columns that the content was checked against.
    pub columns: Vec<String>,
    pub options: Options,
    /// Fingerprints of `campaign` and `templates`. Enqueue adds those of `recipients` and `limit`.
    pub inputs: BTreeMap<String, String>,
    /// Maximum of recipients in a batch.
    pub batch_rows: u64,
    pub not_before: Option<SystemTime>,
    pub expires_after: Option<Duration>,
    pub in_doubt: InDoubtPolicy,
    /// Seal each batch as soon as it is written.
    pub stream: bool,
    pub key: ProjectKey,
    /// The right side of Message-IDs.
    pub id_domain: String,
    /// MAIL FROM of every message.
    pub return_path: String,
    pub suppressed: Arc<SuppressionCheck>,
    /// Header `source` of the records: `mail-1/enqueue`.
    pub source: String,
    pub trace_id: String,
    pub queue_timeout: QueueTimeout,
    /// Number of render threads. 0: in the caller's thread, for simulations.
    pub render_threads: usize,
    /// Check and render everything, write nothing.
    pub dry_run: bool,
    /// For temporary files, about 60 bytes for each recipient of earlier runs; nothing stays in it.
    pub scratch: PathBuf,
}

impl Job {
    /// The run's id. `fingerprint`: of all inputs.
    pub fn run_id(&self, fingerprint: &str) -> RunId {
        let run = match &self.run {
            RunChoice::Inputs => fingerprint.chars().take(16).collect(),
            RunChoice::Period(name) | RunChoice::Named(name) => name.clone(),
        };
        RunId::new(self.campaign.clone(), run)
    }

    /// The fingerprints of all inputs. `recipients`: that of the file. `unfit`: rows without a message.
    pub fn all_inputs(&self, recipients: &str, unfit: u64) -> BTreeMap<String, String> {
        let mut inputs = self.inputs.clone();
        inputs.insert("recipients".to_string(), recipients.to_string());
        // A run that stopped at such a row counted it among its rows, so it is another run.
        if unfit > 0 {
            inputs.insert(LEFT_OUT.to_string(), unfit.to_string());
        }
        if let Some(limit) = self.options.limit {
            inputs.insert("limit".to_string(), limit.to_string());
        }
        inputs
    }
}

/// SHA-256 over names and fingerprints of the inputs, in hexadecimal.
pub fn fingerprint(inputs: &BTreeMap<String, String>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in inputs.iter().flat_map(|(name, value)| [name, value]) {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hex(hash.finish().as_ref())
}

/// Rows in a chunk and in a batch. A batch has whole chunks and at most `batch_rows` rows.
pub fn batch_shape(batch_rows: u64) -> (u64, u64) {
    let batch_rows = batch_rows.max(1);
    let chunk_rows = batch_rows.min(MAX_ROWS as u64);
    (chunk_rows, batch_rows / chunk_rows * chunk_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_whole_chunks() {
        for (asked, chunk, batch) in [
            (50_000, 500, 50_000),
            (750, 500, 500),
            (500, 500, 500),
            (7, 7, 7),
            (0, 1, 1),
        ] {
            assert_eq!(batch_shape(asked), (chunk, batch), "{asked}");
        }
    }

    #[test]
    fn the_fingerprint_depends_on_every_input() {
        let of = |parts: &[(&str, &str)]| {
            let parts = parts.iter().map(|(n, v)| (n.to_string(), v.to_string()));
            fingerprint(&parts.collect())
        };
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        assert_ne!(of(&[("a", "1")]), of(&[("a", "1"), ("limit", "5")]));
        assert_ne!(of(&[("a", "1b")]), of(&[("a", "1"), ("b", "")]));
    }
}
