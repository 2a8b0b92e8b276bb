//! The first pass: the whole file is read and checked, and bad rows are set aside, before anything is written.

use super::error::EnqueueError;
use super::job::Job;
use super::report::EnqueueProgress;
use crate::recipients::{Options, RecipientsError, RejectedWriter, RowError, Survey, first_pass};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

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
        _ => in_thread(pass).await?,
    }?;
    for row in &told {
        observer(EnqueueProgress::Rejected(row));
    }
    if surveyed.survey.columns != job.columns {
        let path = job.recipients.display().to_string();
        return Err(RecipientsError::Changed { path }.into());
    }
    // A run of nobody would be sealed, and stand in the way of the list that was meant.
    if surveyed.survey.counts.accepted == 0 {
        let path = job.recipients.display().to_string();
        return Err(RecipientsError::Nobody { path }.into());
    }
    observer(EnqueueProgress::Surveyed(&surveyed.survey.counts));
    Ok(surveyed)
}

/// Not tokio's: its runtime would wait for the whole file after a Ctrl-C.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EnqueueError> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        // Whoever has gone away does not need to know.
        let _ = tell.send(work());
    };
    let failed = |error: String| EnqueueError::Thread(error);
    let builder = thread::Builder::new().name("survey".to_string());
    builder.spawn(work).map_err(|e| failed(e.to_string()))?;
    told.await.map_err(|error| failed(error.to_string()))
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
