//! From a recipients file to sealed chunks in the queue, exactly once. After a kill the next call continues. A second
//! call, also at the same time, reports that the run is enqueued already.

mod batch_writer;
mod campaign_topic;
mod chunk_appender;
mod chunk_parts;
mod chunk_rows;
mod decide;
mod earlier;
mod error;
mod job;
mod open;
mod queue_retry;
mod renamed;
mod renaming;
mod renderer;
mod repeat;
mod replace;
mod report;
mod run;
mod suppression;
mod survey;

pub use campaign_topic::CampaignTopic;
pub use error::{EnqueueError, OtherRun};
pub use job::{
    Compose, EarlierRuns, Job, LEFT_OUT, RunChoice, SuppressionCheck, composer, fingerprint,
};
pub use queue_retry::QueueTimeout;
pub use renaming::{CAMPAIGN_FILE, Renaming, SameRun};
pub use report::{EnqueueProgress, EnqueueReport, UnsentRun};
pub use run::{dry_run, enqueue};
pub use suppression::suppression_check;
