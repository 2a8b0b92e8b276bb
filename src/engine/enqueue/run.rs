//! Enqueue from its beginning to its end.

use super::batches::{Batches, Sealed, sum};
use super::decide::{Decision, Wish, decide};
use super::error::EnqueueError;
use super::job::{Job, batch_shape, fingerprint};
use super::open::{self, NewManifest, Opened, rfc3339};
use super::pieces::Pieces;
use super::renderer::{Head, Renderer};
use super::report::{EnqueueProgress, EnqueueReport};
use super::source::{Shape, Source};
use super::survey::{Surveyed, survey};
use super::topic::CampaignTopic;
use super::writer::Writer;
use crate::clock::Clock;
use crate::domain::ids::RunId;
use crate::domain::records::{Manifest, Tally};
use crate::queue::Queue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Puts a campaign into the queue, or finds that it is there. Dropped at any moment and called again, in this process
/// or another, it goes on where it was. Nothing of a run can be sent before its seal.
pub async fn enqueue(
    queue: &dyn Queue,
    job: &Job,
    clock: &dyn Clock,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<EnqueueReport, EnqueueError> {
    let started = clock.since_boot();
    let file = File::survey(job, observer).await?;
    let mut topic = CampaignTopic::new(queue, job.patience);
    let wish = file.wish(job);
    if job.dry_run {
        topic.read_to_end(observer).await?;
        let is_already = matches!(decide(&topic.ledger, &wish)?, Decision::Already(_));
        let tally = file.rehearse(job, clock, observer).await?;
        return Ok(EnqueueReport {
            already_enqueued: is_already,
            ..file.report(tally, clock.since_boot().saturating_sub(started), true)
        });
    }
    let dropped = match open::clear(&mut topic, &wish, observer).await? {
        Opened::Run { dropped } => dropped,
        Opened::Already(already) => {
            let elapsed = clock.since_boot().saturating_sub(started);
            return Ok(EnqueueReport {
                already_enqueued: true,
                changed: already.changed,
                campaign: already.id.campaign.clone(),
                key: already.id.key(),
                run: already.id.run,
                ..file.report(already.seal.tally, elapsed, false)
            });
        }
    };
    let new = NewManifest {
        rows: file.surveyed.survey.counts.accepted,
        now: clock.now(),
    };
    let manifest = open::manifest(queue, &mut topic, job, &wish, new, observer).await?;
    let (sealed, batches_found) = file
        .write(&mut topic, job, &manifest, clock, observer)
        .await?;
    let (tally, already_enqueued) = match sealed {
        Sealed::Mine(tally) => (tally, false),
        Sealed::ByAnother(tally) => (tally, true),
    };
    Ok(EnqueueReport {
        already_enqueued,
        batches_found,
        dropped,
        ..file.report(tally, clock.since_boot().saturating_sub(started), false)
    })
}

/// `--dry-run` where there is no queue yet: checks and renders everything.
pub async fn rehearse(
    job: &Job,
    clock: &dyn Clock,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<EnqueueReport, EnqueueError> {
    let started = clock.since_boot();
    let file = File::survey(job, observer).await?;
    let tally = file.rehearse(job, clock, observer).await?;
    Ok(file.report(tally, clock.since_boot().saturating_sub(started), true))
}

/// The recipients after the first pass, and which run they make.
struct File {
    surveyed: Surveyed,
    id: RunId,
    fingerprint: String,
    inputs: BTreeMap<String, String>,
}

impl File {
    async fn survey(
        job: &Job,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<File, EnqueueError> {
        let surveyed = survey(job, observer).await?;
        let inputs = job.all_inputs(&surveyed.survey.fingerprint);
        let fingerprint = fingerprint(&inputs);
        Ok(File {
            id: job.run_id(&fingerprint),
            surveyed,
            fingerprint,
            inputs,
        })
    }

    fn wish<'a>(&'a self, job: &'a Job) -> Wish<'a> {
        Wish {
            id: &self.id,
            choice: &job.run,
            fingerprint: &self.fingerprint,
            inputs: &self.inputs,
        }
    }

    fn report(&self, tally: Tally, elapsed: Duration, dry_run: bool) -> EnqueueReport {
        let rejected = self.surveyed.rejected_file.as_ref();
        EnqueueReport {
            dry_run,
            rejected_file: rejected.map(|path| path.display().to_string()),
            ..EnqueueReport::new(&self.id, tally, elapsed)
        }
    }

    fn source(&self, job: &Job, shape: Shape, done: BTreeSet<u64>) -> Source {
        Source {
            path: job.recipients.clone(),
            options: job.options.clone(),
            survey: Arc::clone(&self.surveyed.survey),
            shape,
            done,
        }
    }

    async fn write<'q>(
        &self,
        topic: &mut CampaignTopic<'q>,
        job: &Job,
        manifest: &Manifest,
        clock: &dyn Clock,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(Sealed, u64), EnqueueError> {
        let queue = topic.queue;
        let begun = manifest.first.len();
        if begun == 0 || begun > queue.partitions() as usize {
            return Err(EnqueueError::Partitions {
                run: self.id.run.clone(),
                begun,
                found: queue.partitions(),
            });
        }
        let counts = &self.surveyed.survey.counts;
        let mut batches = Batches::new(
            topic,
            Writer::new(queue, job.patience, begun),
            manifest,
            clock,
            job.recipients.display().to_string(),
            (counts.duplicates, counts.invalid),
        );
        let found = batches.take_over();
        if found > 0 {
            observer(EnqueueProgress::Continuing {
                batches_found: found,
            });
        }
        let source = self.source(job, batches.shape, (0..found).collect());
        let head = Head {
            run: manifest.id.clone(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let renderer = Renderer::new(job, head, rfc3339(clock.now()));
        let pieces = Pieces::new(renderer, &source, job.render_threads)?;
        Ok((batches.write(pieces, observer).await?, found))
    }

    /// Renders everything and counts it.
    async fn rehearse(
        &self,
        job: &Job,
        clock: &dyn Clock,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Tally, EnqueueError> {
        let counts = &self.surveyed.survey.counts;
        let (chunk_rows, batch_rows) = batch_shape(job.batch_rows);
        let shape = Shape::new(counts.accepted, chunk_rows, batch_rows);
        let source = self.source(job, shape, BTreeSet::new());
        let head = Head {
            run: self.id.clone(),
            fingerprint: self.fingerprint.clone(),
        };
        let renderer = Renderer::new(job, head, rfc3339(clock.now()));
        let mut pieces = Pieces::new(renderer, &source, job.render_threads)?;
        let mut tally = Tally::default();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| error.into_error(&job.recipients, false))?;
            tally = sum(tally, piece.tally);
            observer(EnqueueProgress::Rows {
                done: tally.recipients,
                of: counts.accepted,
            });
        }
        Ok(Tally {
            recipients: tally.recipients + counts.duplicates + counts.invalid,
            duplicates: counts.duplicates,
            invalid: counts.invalid,
            batches: shape.batches(),
            ..tally
        })
    }
}
