//! One process of the simulation: its tasks can be frozen (SIGSTOP) and dropped (SIGKILL).

use futures_util::FutureExt;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::task::LocalSet;

/// A frozen process is not polled; everything else continues.
pub struct Process {
    set: LocalSet,
    main: tokio::task::JoinHandle<()>,
    pub frozen: Rc<Cell<bool>>,
}

impl Process {
    pub fn start(main: impl Future<Output = ()> + 'static) -> Process {
        let set = LocalSet::new();
        let main = set.spawn_local(main);
        Process {
            set,
            main,
            frozen: Rc::default(),
        }
    }

    pub fn is_finished(&self) -> bool {
        self.main.is_finished()
    }

    /// Panics if the process did.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        if self.frozen.get() || self.is_finished() {
            return;
        }
        let _: Poll<()> = Pin::new(&mut self.set).poll(context);
        if self.is_finished()
            && let Some(Err(error)) = (&mut self.main).now_or_never()
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
