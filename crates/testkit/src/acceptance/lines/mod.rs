//! The lines, one file each: set up, do it, hold what came out against the promise.

pub mod changed;
pub mod deferred;
pub mod enqueue_kill;
pub mod failover;
pub mod gone;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kill;
pub mod lanes;
pub mod memory;
pub mod million;
pub mod outage;
pub mod pause;
pub mod paused;
pub mod rate;
pub mod replies;
pub mod sites;
pub mod slow_stop;
pub mod smtp_source;
pub mod spread;

use super::project::Project;
use super::server::Server;
use anyhow::bail;
use std::time::{Duration, Instant};

/// Retries that a test can wait for.
pub const SHORT_RETRIES: &str = "[retry]\ninitial = \"1s\"\nmax = \"4s\"\nsoft_interval = \"2s\"\n";

/// The default of `max_uncommitted`, in messages: so many may be in doubt after each kill of a worker.
pub const MAX_UNCOMMITTED: u64 = 64;

/// How long the relay may stand still before a line gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until the relay has taken so many messages; fails when it takes none for long.
pub fn wait_for_accepted(server: &Server, wanted: u64) -> anyhow::Result<()> {
    let mut progress = (0, Instant::now());
    loop {
        let accepted = server.ledger().accepted;
        if accepted >= wanted {
            return Ok(());
        }
        if accepted > progress.0 {
            progress = (accepted, Instant::now());
        } else if progress.1.elapsed() > PATIENCE {
            bail!(
                "the relay has taken {accepted} of {wanted} messages and nothing for {PATIENCE:?}"
            );
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a transaction has begun at this gate within the last moments.
pub fn mail_flows(server: &Server, gate: usize) -> bool {
    const MOMENTS: Duration = Duration::from_millis(250);
    let ledger = server.ledger();
    let recent = ledger.transactions.iter().rev();
    recent
        .take_while(|transaction| transaction.begun_at.elapsed() < MOMENTS)
        .any(|transaction| transaction.gate == gate)
}

/// Waits until mail flows at this gate; `false` when it does not.
pub fn wait_for_flow(server: &Server, gate: usize, at_most: Duration) -> bool {
    let began_at = Instant::now();
    while !mail_flows(server, gate) {
        if began_at.elapsed() > at_most {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Runs a line's body; when it fails, the project's folder stays and the failure says where. With `ACCEPTANCE_KEEP` set it
/// stays in any case.
pub fn keeping<T>(
    mut project: Project,
    body: impl FnOnce(&Project) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = body(&project);
    if std::env::var_os("ACCEPTANCE_KEEP").is_some() {
        println!("  kept in {}", project.keep().display());
    }
    result.map_err(|error| error.context(format!("kept in {}", project.keep().display())))
}
