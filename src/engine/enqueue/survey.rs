//! The first pass over the recipients, in a thread. Writes the file of rejected rows.

use super::error::EnqueueError;
use super::job::Job;
use super::report::EnqueueProgress;
use crate::recipients::{Options, RecipientsError, RejectedWriter, RowError, Survey, first_pass};
use crate::render::STACK_BYTES;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

/// Rejected rows that are reported one by one.
const REPORTED_ROWS: usize = 10;

/// The survey, and the file of rejected rows.
pub struct Surveyed {
    pub survey: Arc<Survey>,
    pub rejected_file: Option<PathBuf>,
}

/// Reads the file in a thread, unless the job renders in the caller's thread.
pub async fn survey(
    job: &Job,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Surveyed, EnqueueError> {
    let (path, options) = (job.recipients.clone(), job.options.clone());
    let writer = (!job.dry_run).then(|| RejectedWriter::new(&path));
    let pass = move || read(&path, &options, writer);
    let (surveyed, rejected) = match job.render_threads {
        0 => pass(),
        _ => in_thread(pass).await?,
    }?;
    for row in &rejected {
        observer(EnqueueProgress::Rejected(row));
    }
    if surveyed.survey.columns != job.columns {
        let path = job.recipients.display().to_string();
        return Err(RecipientsError::Changed { path }.into());
    }
    if let Some(first) = &surveyed.survey.garbled {
        let rows = surveyed.survey.counts.tidied.garbled_rows;
        observer(EnqueueProgress::Garbled { first, rows });
    }
    observer(EnqueueProgress::Surveyed(&surveyed.survey.counts));
    Ok(surveyed)
}

/// Not `spawn_blocking`, because tokio would wait for the end of the file after a Ctrl-C.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EnqueueError> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // Sending fails if the caller was dropped, and then nobody needs the result.
        let _ = sender.send(work());
    };
    let failed = |error: String| EnqueueError::Thread(error);
    let builder = thread::Builder::new().name("survey".to_string());
    let builder = builder.stack_size(STACK_BYTES);
    builder.spawn(work).map_err(|e| failed(e.to_string()))?;
    receiver.await.map_err(|error| failed(error.to_string()))
}

fn read(
    path: &Path,
    options: &Options,
    mut writer: Option<RejectedWriter>,
) -> Result<(Surveyed, Vec<RowError>), RecipientsError> {
    let mut rejected = Vec::new();
    let mut written = Ok(());
    let survey = first_pass(path, options, |row, frame| {
        // The rows of one mail have one error.
        if rejected.len() < REPORTED_ROWS && rejected.last() != Some(&row.error) {
            rejected.push(row.error.clone());
        }
        if let (Some(writer), Ok(())) = (&mut writer, &written) {
            written = writer.write(row, frame);
        }
    })?;
    written?;
    let rejected_file = writer.map_or(Ok(None), RejectedWriter::finish)?;
    let surveyed = Surveyed {
        survey: Arc::new(survey),
        rejected_file,
    };
    Ok((surveyed, rejected))
}
