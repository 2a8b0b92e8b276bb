//! Enqueue, step by step: survey the list, drop superseded runs, write the manifest, write batches, seal.

use super::batch_writer::{BatchWriter, Sealed};
use super::campaign_topic::CampaignTopic;
use super::chunk_appender::ChunkAppender;
use super::chunk_parts::ChunkParts;
use super::chunk_rows::{BatchLayout, RowSource};
use super::decide::{Decision, Request, SealedRun, decide};
use super::earlier::{Earlier, Question, earlier};
use super::error::EnqueueError;
use super::job::{EarlierRuns, Job, batch_shape, fingerprint};
use super::open::{self, NewManifest, Opened};
use super::renamed::look;
use super::renderer::{Head, Renderer};
use super::repeat::retried;
use super::replace;
use super::report::{EnqueueProgress, EnqueueReport};
use super::survey::{Surveyed, survey};
use crate::clock::Clock;
use crate::domain::ids::{Partition, RunId, RunKey};
use crate::domain::records::{Manifest, Tally};
use crate::engine::timestamp::timestamp;
use crate::queue::Queue;
use crate::recipients::{Known, Options, RecipientsError};
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
    let elapsed = || clock.since_boot().saturating_sub(started);
    let mut file = SurveyedFile::survey(job, observer).await?;
    let mut topic = CampaignTopic::new(queue, job.queue_timeout);
    if job.dry_run {
        let already_enqueued = file.rehearse(&mut topic, job, clock, observer).await?;
        if !already_enqueued {
            file.show_repeated(observer);
        }
        let tally = file.render_all(job, clock, observer).await?;
        return Ok(EnqueueReport {
            already_enqueued,
            ..file.report(tally, elapsed(), true)
        });
    }
    let mut dropped = Vec::new();
    let begun = file
        .begin(&mut topic, job, clock, &mut dropped, observer)
        .await?;
    if !matches!(begun, Begun::AlreadySealed(_)) {
        file.show_repeated(observer);
    }
    let report = match begun {
        Begun::AlreadySealed(already) => EnqueueReport {
            already_enqueued: true,
            changed: already.changed,
            campaign: already.id.campaign.clone(),
            key: already.id.key(),
            run: already.id.run,
            ..file.report(already.seal.tally, elapsed(), false)
        },
        Begun::ForNobody => file.report(file.left_out(), elapsed(), false),
        Begun::Run(manifest) => {
            let (sealed, batches_found) = file
                .write(&mut topic, job, &manifest, clock, observer)
                .await?;
            let (tally, already_enqueued) = match sealed {
                Sealed::ByUs(tally) => (tally, false),
                Sealed::ByAnother(tally) => (tally, true),
            };
            EnqueueReport {
                already_enqueued,
                batches_found,
                ..file.report(tally, elapsed(), false)
            }
        }
    };
    Ok(EnqueueReport { dropped, ..report })
}

/// `--dry-run` without a queue: checks and renders everything.
pub async fn dry_run(
    job: &Job,
    clock: &dyn Clock,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<EnqueueReport, EnqueueError> {
    let started = clock.since_boot();
    let file = SurveyedFile::survey(job, observer).await?;
    file.show_repeated(observer);
    let tally = file.render_all(job, clock, observer).await?;
    Ok(file.report(tally, clock.since_boot().saturating_sub(started), true))
}

/// What came of opening the run.
enum Begun {
    AlreadySealed(Box<SealedRun>),
    /// Earlier runs have everybody.
    ForNobody,
    /// Chunks may be written.
    Run(Box<Manifest>),
}

/// The surveyed list, and the run that it makes.
struct SurveyedFile {
    surveyed: Surveyed,
    identity: Identity,
    /// With the addresses that are left out.
    options: Options,
}

/// What makes a run the same run.
#[derive(Clone)]
struct Identity {
    id: RunId,
    fingerprint: String,
    inputs: BTreeMap<String, String>,
}

impl Identity {
    fn request<'a>(&'a self, job: &'a Job) -> Request<'a> {
        Request {
            id: &self.id,
            choice: &job.run,
            earlier: job.earlier,
            fingerprint: &self.fingerprint,
            inputs: &self.inputs,
        }
    }
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
        // An empty run would be sealed, and the intended list would then count as changed inputs.
        if survey.counts.accepted == 0 {
            let path = job.recipients.display().to_string();
            return Err(RecipientsError::Nobody { path }.into());
        }
        Ok(SurveyedFile {
            identity: Identity {
                id: job.run_id(&fingerprint),
                fingerprint,
                inputs,
            },
            surveyed,
            options: job.options.clone(),
        })
    }

    fn show_repeated(&self, observer: &mut dyn FnMut(EnqueueProgress<'_>)) {
        if let Some(first) = &self.surveyed.survey.repeated {
            observer(EnqueueProgress::Repeated(first));
        }
    }

    /// Drops superseded runs, deals with earlier ones, and writes the manifest.
    async fn begin(
        &mut self,
        topic: &mut CampaignTopic<'_>,
        job: &Job,
        clock: &dyn Clock,
        dropped: &mut Vec<String>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Begun, EnqueueError> {
        let identity = self.identity.clone();
        let request = identity.request(job);
        look(topic, &request, job, clock.now(), observer).await?;
        for _ in 0..open::MAX_ROUNDS {
            match open::drop_superseded(topic, &request, observer).await? {
                Opened::Run { dropped: more } => dropped.extend(more),
                Opened::AlreadySealed(already) => return Ok(Begun::AlreadySealed(already)),
            }
            replace::settle_earlier(topic, &request, job, clock.now(), observer).await?;
            let known = self.leave_out_earlier(topic, job, clock, observer).await?;
            let survey = Arc::clone(&self.surveyed.survey);
            if survey.counts.accepted == 0 {
                open::drop_unsealed(topic, &request, observer).await?;
                return Ok(Begun::ForNobody);
            }
            let new = NewManifest {
                rows: survey.counts.accepted,
                rows_fingerprint: known.as_ref().map(|_| survey.rows_fingerprint()),
                now: clock.now(),
            };
            let manifest = open::manifest(topic, job, &request, new, observer).await?;
            match known {
                Some(known) if !open::is_alone(topic, &request, &known) => {
                    let why = "another run began meanwhile";
                    open::drop_own(topic, &manifest, why, observer).await?;
                }
                _ => return Ok(Begun::Run(Box::new(manifest))),
            }
        }
        Err(open::busy(&request, Vec::new()))
    }

    /// For a dry run: leaves out whom earlier runs have now. Returns whether the run is sealed already.
    async fn rehearse(
        &mut self,
        topic: &mut CampaignTopic<'_>,
        job: &Job,
        clock: &dyn Clock,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<bool, EnqueueError> {
        let identity = self.identity.clone();
        let request = identity.request(job);
        look(topic, &request, job, clock.now(), observer).await?;
        let decision = decide(&topic.ledger, &request)?;
        let is_already = matches!(decision, Decision::AlreadySealed(_));
        if !is_already {
            if job.earlier == EarlierRuns::LeaveOut {
                open::require_complete(topic, &request)?;
            }
            self.leave_out_earlier(topic, job, clock, observer).await?;
        }
        Ok(is_already)
    }

    /// Surveys the list again without those whom earlier runs have. Returns those runs; `None`: nobody asked for it.
    async fn leave_out_earlier(
        &mut self,
        topic: &CampaignTopic<'_>,
        job: &Job,
        clock: &dyn Clock,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Option<BTreeSet<RunKey>>, EnqueueError> {
        if job.earlier == EarlierRuns::Forbid {
            return Ok(None);
        }
        let question = Question {
            campaign: &self.identity.id.campaign,
            own: self.identity.id.key(),
            as_cancelled: job.dry_run && job.earlier == EarlierRuns::Cancel,
            now: clock.now(),
            folder: &job.scratch,
        };
        let queue = topic.queue;
        let known = retried(job.queue_timeout, observer, async || {
            earlier(queue, question).await
        });
        let Earlier { addresses, runs } = known.await?;
        self.options.known = Known(Some(Arc::new(addresses)));
        let job = Job {
            options: self.options.clone(),
            ..job.clone()
        };
        let again = survey(&job, &mut |_| ()).await?;
        if again.survey.fingerprint != self.surveyed.survey.fingerprint {
            let path = job.recipients.display().to_string();
            return Err(RecipientsError::Changed { path }.into());
        }
        self.surveyed = again;
        Ok(Some(runs))
    }

    /// Counts of the rows that the survey left out.
    fn left_out(&self) -> Tally {
        let counts = &self.surveyed.survey.counts;
        Tally {
            recipients: counts.duplicates + counts.invalid + counts.already_sent,
            duplicates: counts.duplicates,
            invalid: counts.invalid,
            already_sent: counts.already_sent,
            ..Tally::default()
        }
    }

    fn report(&self, tally: Tally, elapsed: Duration, dry_run: bool) -> EnqueueReport {
        let rejected = self.surveyed.rejected_file.as_ref();
        EnqueueReport {
            dry_run,
            is_grouped: self.options.group,
            tidied: self.surveyed.survey.counts.tidied,
            differing: self.surveyed.survey.counts.differing,
            rejected_file: rejected.map(|path| path.display().to_string()),
            ..EnqueueReport::new(&self.identity.id, tally, elapsed)
        }
    }

    fn source(&self, job: &Job, layout: BatchLayout, done: BTreeSet<u64>) -> RowSource {
        RowSource {
            path: job.recipients.clone(),
            options: self.options.clone(),
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
                run: self.identity.id.run.clone(),
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
        let mut batches = BatchWriter::new(
            topic,
            ChunkAppender::new(queue, job.queue_timeout, partitions),
            manifest,
            clock,
            job.recipients.display().to_string(),
            self.left_out(),
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
            run: self.identity.id.clone(),
            fingerprint: self.identity.fingerprint.clone(),
        };
        let renderer = Renderer::new(job, head, timestamp(clock.now()));
        let mut parts = ChunkParts::new(renderer, &source, job.render_threads)?;
        let mut tally = Tally {
            batches: layout.batches(),
            ..Tally::default()
        };
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| error.into_error(&job.recipients, false))?;
            tally += part.tally;
            observer(EnqueueProgress::Rows {
                done: tally.recipients,
                of: counts.accepted,
            });
        }
        tally += self.left_out();
        Ok(tally)
    }
}
