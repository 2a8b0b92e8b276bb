//! Enqueue, step by step: survey the list, drop superseded runs, write the manifest, write batches, seal.

use super::batch_writer::{BatchWriter, Sealed};
use super::campaign_topic::CampaignTopic;
use super::chunk_appender::ChunkAppender;
use super::chunk_parts::ChunkParts;
use super::chunk_rows::{BatchLayout, RowSource};
use super::decide::{Decision, Request, decide};
use super::error::EnqueueError;
use super::job::{Job, batch_shape, fingerprint};
use super::open::{self, NewManifest, Opened};
use super::renderer::{Head, Renderer};
use super::report::{EnqueueProgress, EnqueueReport};
use super::survey::{Surveyed, survey};
use crate::clock::Clock;
use crate::domain::ids::{Partition, RunId};
use crate::domain::records::{Manifest, Tally};
use crate::engine::timestamp::timestamp;
use crate::queue::Queue;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

/// Enqueues a campaign, or finds that it is enqueued already. Cancel safe: after the future is dropped or the process
/// killed, the next call continues, in this process or another. No message of a run is sent before it is sealed.
pub async fn enqueue(
    queue: &dyn Queue,
    job: &Job,
    clock: &dyn Clock,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<EnqueueReport, EnqueueError> {
    let started = clock.since_boot();
    let file = SurveyedFile::survey(job, observer).await?;
    let mut topic = CampaignTopic::new(queue, job.queue_timeout);
    let request = file.request(job);
    if job.dry_run {
        topic.read_to_end(observer).await?;
        let is_already = matches!(decide(&topic.ledger, &request)?, Decision::AlreadySealed(_));
        let tally = file.render_all(job, clock, observer).await?;
        return Ok(EnqueueReport {
            already_enqueued: is_already,
            ..file.report(tally, clock.since_boot().saturating_sub(started), true)
        });
    }
    let dropped = match open::drop_superseded(&mut topic, &request, observer).await? {
        Opened::Run { dropped } => dropped,
        Opened::AlreadySealed(already) => {
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
    let manifest = open::manifest(queue, &mut topic, job, &request, new, observer).await?;
    let (sealed, batches_found) = file
        .write(&mut topic, job, &manifest, clock, observer)
        .await?;
    let (tally, already_enqueued) = match sealed {
        Sealed::ByUs(tally) => (tally, false),
        Sealed::ByAnother(tally) => (tally, true),
    };
    Ok(EnqueueReport {
        already_enqueued,
        batches_found,
        dropped,
        ..file.report(tally, clock.since_boot().saturating_sub(started), false)
    })
}

/// `--dry-run` without a queue: checks and renders everything.
pub async fn dry_run(
    job: &Job,
    clock: &dyn Clock,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<EnqueueReport, EnqueueError> {
    let started = clock.since_boot();
    let file = SurveyedFile::survey(job, observer).await?;
    let tally = file.render_all(job, clock, observer).await?;
    Ok(file.report(tally, clock.since_boot().saturating_sub(started), true))
}

/// The surveyed list, and the run that it makes.
struct SurveyedFile {
    surveyed: Surveyed,
    id: RunId,
    fingerprint: String,
    inputs: BTreeMap<String, String>,
}

impl SurveyedFile {
    async fn survey(
        job: &Job,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<SurveyedFile, EnqueueError> {
        let surveyed = survey(job, observer).await?;
        let survey = &surveyed.survey;
        let inputs = job.all_inputs(&survey.fingerprint, survey.unfit);
        let fingerprint = fingerprint(&inputs);
        Ok(SurveyedFile {
            id: job.run_id(&fingerprint),
            surveyed,
            fingerprint,
            inputs,
        })
    }

    fn request<'a>(&'a self, job: &'a Job) -> Request<'a> {
        Request {
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
            tidied: self.surveyed.survey.counts.tidied,
            rejected_file: rejected.map(|path| path.display().to_string()),
            ..EnqueueReport::new(&self.id, tally, elapsed)
        }
    }

    fn source(&self, job: &Job, layout: BatchLayout, done: BTreeSet<u64>) -> RowSource {
        RowSource {
            path: job.recipients.clone(),
            options: job.options.clone(),
            survey: Arc::clone(&self.surveyed.survey),
            layout,
            done,
        }
    }

    /// The partitions that the run was started with. The queue may have got more since then, but not fewer.
    fn partitions(
        &self,
        manifest: &Manifest,
        found: Partition,
    ) -> Result<NonZero<Partition>, EnqueueError> {
        let begun = Partition::try_from(manifest.first.len()).ok();
        begun
            .filter(|begun| *begun <= found)
            .and_then(NonZero::new)
            .ok_or_else(|| EnqueueError::Partitions {
                run: self.id.run.clone(),
                begun: manifest.first.len(),
                found,
            })
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
        let partitions = self.partitions(manifest, queue.partitions())?;
        let counts = &self.surveyed.survey.counts;
        let mut batches = BatchWriter::new(
            topic,
            ChunkAppender::new(queue, job.queue_timeout, partitions),
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
        let source = self.source(job, batches.layout, (0..found).collect());
        let head = Head {
            run: manifest.id.clone(),
            fingerprint: manifest.fingerprint.clone(),
        };
        let renderer = Renderer::new(job, head, timestamp(clock.now()));
        let parts = ChunkParts::new(renderer, &source, job.render_threads)?;
        Ok((batches.write(parts, observer).await?, found))
    }

    /// Renders all messages and counts them.
    async fn render_all(
        &self,
        job: &Job,
        clock: &dyn Clock,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Tally, EnqueueError> {
        let counts = &self.surveyed.survey.counts;
        let (chunk_rows, batch_rows) = batch_shape(job.batch_rows);
        let layout = BatchLayout::new(counts.accepted, chunk_rows, batch_rows);
        let source = self.source(job, layout, BTreeSet::new());
        let head = Head {
            run: self.id.clone(),
            fingerprint: self.fingerprint.clone(),
        };
        let renderer = Renderer::new(job, head, timestamp(clock.now()));
        let mut parts = ChunkParts::new(renderer, &source, job.render_threads)?;
        let mut tally = Tally::default();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| error.into_error(&job.recipients, false))?;
            tally += part.tally;
            observer(EnqueueProgress::Rows {
                done: tally.recipients,
                of: counts.accepted,
            });
        }
        Ok(Tally {
            recipients: tally.recipients + counts.duplicates + counts.invalid,
            duplicates: counts.duplicates,
            invalid: counts.invalid,
            batches: layout.batches(),
            ..tally
        })
    }
}
