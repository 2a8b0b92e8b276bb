//! A worker without relays, for `enqueue --replace`: it settles what killed workers left behind. It sends nothing, and
//! joins only if it is needed.

use super::Options;
use super::setup::setup;
use crate::commands::Failure;
use crate::commands::project::OpenProject;
use crate::engine::worker::{self as engine, Goal, Notice, Observer, Stop, Summary};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// Workers that run usually settle what they hold within this.
pub const AFTER: Duration = Duration::from_secs(2);

/// Does some work, and settles beside it from when `wanted` is notified.
pub async fn beside<T>(
    project: &OpenProject,
    wanted: &Notify,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let stop = Rc::new(Stop::default());
    let is_begun = Cell::new(false);
    let settling = async {
        wanted.notified().await;
        is_begun.set(true);
        let setup = setup(project, &Options::default(), Vec::new(), Goal::Serve);
        engine::run(setup, stop.clone(), Rc::new(Silent)).await
    };
    tokio::pin!(settling, work);
    tokio::select! {
        biased;
        done = &mut work => {
            // What it owns goes back to the others, if it was begun at all.
            if is_begun.get() {
                stop.ask();
                settling.await?;
            }
            Ok(done)
        }
        ended = &mut settling => {
            ended?;
            Ok(work.await)
        }
    }
}

/// What the settling worker does is reported by the command that waits for it.
struct Silent;

impl Observer for Silent {
    fn notice(&self, notice: Notice) {
        tracing::debug!(?notice, "settling");
    }

    fn progress(&self, _: &Summary) {}
}
