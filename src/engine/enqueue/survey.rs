//! The first pass: the whole file is read and checked, and bad rows are set aside, before anything is written.

use super::error::EnqueueError;
use super::job::Job;
use super::report::EnqueueProgress;
use crate::recipients::{Options, RecipientsError, RejectedWriter, RowError, Survey, first_pass};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bad rows that are told one by one.
const TOLD_ROWS: usize = 10;

/// What the first pass found, and where the bad rows are.
pub struct Surveyed {
    pub survey: Arc<Survey>,
    pub rejected_file: Option<PathBuf>,
}

/// Reads the file. In a thread of its own, unless the job renders in the caller's.
pub async fn survey(
    job: &Job,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Surveyed, EnqueueError> {
    let (path, options) = (job.recipients.clone(), job.options.clone());
    let writer = (!job.dry_run).then(|| RejectedWriter::new(&path, &job.columns));
    let pass = move || read(&path, &options, writer);
    let (surveyed, told) = match job.render_threads {
        0 => pass(),
        _ => tokio::task::spawn_blocking(pass)
            .await
            .map_err(|error| EnqueueError::Thread(error.to_string()))?,
    }?;
    for row in &told {
        observer(EnqueueProgress::Rejected(row));
    }
    if surveyed.survey.columns != job.columns {
        let path = job.recipients.display().to_string();
        return Err(RecipientsError::Changed { path }.into());
    }
    observer(EnqueueProgress::Surveyed(&surveyed.survey.counts));
    Ok(surveyed)
}

fn read(
    path: &Path,
    options: &Options,
    mut writer: Option<RejectedWriter>,
) -> Result<(Surveyed, Vec<RowError>), RecipientsError> {
    let mut told = Vec::new();
    let mut written = Ok(());
    let survey = first_pass(path, options, |row| {
        if told.len() < TOLD_ROWS {
            told.push(row.error.clone());
        }
        if let (Some(writer), Ok(())) = (&mut writer, &written) {
            written = writer.write(row);
        }
    })?;
    written?;
    let rejected_file = writer.map_or(Ok(None), RejectedWriter::finish)?;
    let surveyed = Surveyed {
        survey: Arc::new(survey),
        rejected_file,
    };
    Ok((surveyed, told))
}
