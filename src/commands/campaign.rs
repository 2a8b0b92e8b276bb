//! A campaign that has been read and checked: its file, its list and its templates.

use super::Failure;
use super::text::counted;
use crate::bounded_file;
use crate::config::{CampaignFile, CampaignKeys, Loaded, MAX_FILE_BYTES};
use crate::domain::digest::{hex, sha256};
use crate::domain::recipient::RecipientRow;
use crate::domain::shell_word::shell_word;
use crate::engine::enqueue::{CAMPAIGN_FILE, Renaming, composer};
use crate::recipients::{FileEncoding, Options, first_pass, rows};
use crate::render::{CampaignContent, Composer, Content};
use ring::digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub struct Campaign {
    pub file: CampaignFile,
    /// The recipients CSV.
    pub recipients: PathBuf,
    pub composer: Composer,
    pub columns: Vec<String>,
    pub options: Options,
    /// Fingerprints of the campaign file and the templates.
    pub inputs: BTreeMap<String, String>,
    /// What to do if another campaign has a run with the same inputs.
    pub renaming: Renaming,
}

/// The campaign file and the list for the argument `RECIPIENTS.csv|CAMPAIGN.toml`.
pub fn files(source: &Path, campaign: Option<&Path>) -> Result<(CampaignFile, PathBuf), Failure> {
    let is_campaign = source
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if is_campaign {
        let file = CampaignFile::read(source)?;
        let recipients = from_here(&file.recipients);
        return Ok((file, recipients));
    }
    let beside = source.with_extension("toml");
    let path = campaign.unwrap_or(&beside);
    if !source.is_file() {
        let what = format!("no file `{}`", source.display());
        return Err(
            Failure::usage(what).with_hint("give a recipients CSV or a campaign file (`.toml`)")
        );
    }
    if campaign.is_none() && !path.exists() {
        let what = format!(
            "no campaign file `{}` beside `{}`",
            path.display(),
            source.display()
        );
        let hint = format!(
            "create one with `mailq init --from {}`, or give one with `--campaign FILE`",
            shell_word(source)
        );
        return Err(Failure::usage(what).with_hint(hint));
    }
    Ok((CampaignFile::read(path)?, source.to_path_buf()))
}

/// How the campaign's list is read.
pub fn reading(keys: &CampaignKeys, options: Options) -> Options {
    let encoding = keys.encoding.as_deref();
    Options {
        email_column: keys.email_column.clone(),
        sheet: keys.sheet.clone(),
        several: keys.several,
        group: keys.group,
        duplicates: keys.duplicates,
        encoding: encoding.and_then(FileEncoding::of_name),
        ..options
    }
}

/// Paths below the working directory become relative to it, for messages.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let here = here.unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_path_buf()
}

impl Campaign {
    /// Reads the templates and checks them against the columns of the list. Reads only the header of the list.
    pub fn load(
        source: &Path,
        campaign: Option<&Path>,
        loaded: &Loaded,
        options: Options,
    ) -> Result<Campaign, Failure> {
        let (file, recipients) = files(source, campaign)?;
        let content = Content::load(&content(&file), &loaded.project.templates())?;
        let sources = content.sources();
        let options = reading(&file.keys, options);
        let (composer, columns, options) = composer(content, &recipients, options)?;
        let bytes = bounded_file::read(&file.path, MAX_FILE_BYTES).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", file.path.display()))
        })?;
        let inputs = inputs(&bytes, &sources);
        let renaming = Renaming {
            is_refused: false,
            campaign_file: String::from_utf8_lossy(&bytes).into(),
        };
        Ok(Campaign {
            file,
            recipients,
            composer,
            columns,
            options,
            inputs,
            renaming,
        })
    }

    /// The `number`th row below the header, from 1. Invalid rows elsewhere do not matter.
    pub fn row(&self, number: u64) -> Result<RecipientRow, Failure> {
        let path = &self.recipients;
        let options = Options {
            skip_invalid: true,
            limit: (!self.options.group).then_some(number),
            ..self.options.clone()
        };
        let survey = first_pass(path, &options, |_, _| {})?;
        if survey.counts.rows < number {
            let count = survey.counts.rows;
            let rows = counted(count, "row");
            let what = format!("`{}` has no row {number}, only {rows}", path.display());
            return Err(
                Failure::usage(what).with_hint(format!("use `--row N` with N from 1 to {count}"))
            );
        }
        let place = number.saturating_sub(1);
        let found = match survey.ordinal(place) {
            Some(row) => rows(path, &options, &survey, row..row + 1)?.next(),
            None => None,
        };
        found.transpose()?.ok_or_else(|| {
            let what = format!(
                "row {number} of `{}` gets no mail{}: it is invalid or repeats an earlier address",
                path.display(),
                if options.group { " of its own" } else { "" }
            );
            let file = shell_word(Path::new(&self.file.display));
            let check = format!("`mailq check {file}` shows what is wrong");
            Failure::usage(what).with_hint(check)
        })
    }
}

/// The content of the messages, from the campaign file.
pub fn content(file: &CampaignFile) -> CampaignContent {
    let keys = &file.keys;
    CampaignContent {
        origin: file.display.clone(),
        from: keys.from.0.clone(),
        reply_to: keys.reply_to.as_ref().map(|template| template.0.clone()),
        to_name: keys.to_name.clone(),
        return_path: keys
            .return_path
            .as_ref()
            .map(|mailbox| mailbox.address.to_string()),
        subject: keys.subject.clone(),
        html: keys.html.clone(),
        text: keys.text.clone(),
        group: keys.group,
        headers: file.headers.clone(),
        column_types: file.column_types.clone(),
    }
}

fn inputs(file: &[u8], sources: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut templates = digest::Context::new(&digest::SHA256);
    for part in sources.iter().flat_map(|(name, hash)| [name, hash]) {
        templates.update(part.as_bytes());
        templates.update(&[0]);
    }
    BTreeMap::from([
        (CAMPAIGN_FILE.to_string(), sha256(file)),
        ("templates".to_string(), hex(templates.finish().as_ref())),
    ])
}
