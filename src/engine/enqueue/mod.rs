//! From a recipients file to sealed chunks in the queue, exactly once: killed it goes on where it was, run twice or
//! twice at once it says so. The order of section "Enqueue" of ARCHITECTURE.md is the order of `run`.

mod batches;
mod decide;
mod error;
mod job;
mod open;
mod patience;
mod pieces;
mod renderer;
mod report;
mod run;
mod source;
mod suppression;
mod survey;
mod topic;
mod writer;

pub use error::{EnqueueError, OtherRun};
pub use job::{Compose, Job, RunChoice, Suppressed, composer, fingerprint};
pub use patience::Patience;
pub use report::{EnqueueProgress, EnqueueReport};
pub use run::{enqueue, rehearse};
pub use suppression::suppressed;
pub use topic::CampaignTopic;
