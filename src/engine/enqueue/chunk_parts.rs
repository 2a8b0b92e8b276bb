//! The rendered chunks of a run, in order. Threads render ahead; for simulations the caller's thread renders. Channels
//! are short, so memory depends neither on the list nor on which side is slower.

use super::chunk_rows::{ChunkRows, RowSource};
use super::error::EnqueueError;
use super::renderer::{ChunkPart, ChunkPartError, Renderer};
use crate::domain::recipient::RecipientRow;
use crate::recipients::RecipientsError;
use crate::render::STACK_BYTES;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver as TaskReceiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::mpsc;

/// Chunks between the reader and the appender.
const CHUNKS_AHEAD: usize = 8;

type PartResult = Result<ChunkPart, ChunkPartError>;
type Rows = (u64, Vec<RecipientRow>);
/// A chunk to render, and the channel for its parts.
type RenderTask = (Rows, mpsc::Sender<PartResult>);

/// Iterates over the parts of all chunks.
pub enum ChunkParts<'a> {
    Inline(Box<InlineRenderer<'a>>),
    Threads {
        /// One channel for each chunk, in order.
        chunks: mpsc::Receiver<mpsc::Receiver<PartResult>>,
        current: Option<mpsc::Receiver<PartResult>>,
    },
}

/// Renders in the caller's thread, a chunk at a time.
pub struct InlineRenderer<'a> {
    renderer: Renderer,
    chunks: ChunkRows<'a>,
    ready: VecDeque<PartResult>,
}

impl InlineRenderer<'_> {
    fn next(&mut self) -> Option<PartResult> {
        while self.ready.is_empty() {
            let ready = &mut self.ready;
            let mut emit = |part| {
                ready.push_back(part);
                true
            };
            match self.chunks.next()? {
                Ok((chunk, rows)) => self.renderer.chunk(chunk, &rows, &mut emit),
                Err(error) => {
                    emit(Err(ChunkPartError::Recipients(error)));
                }
            }
        }
        self.ready.pop_front()
    }
}

impl<'a> ChunkParts<'a> {
    /// Starts `threads` render threads and a reader thread. They end with the list, or when `ChunkParts` is dropped.
    /// With 0 threads, [`ChunkParts::next`] reads and renders.
    pub fn new(
        renderer: Renderer,
        source: &'a RowSource,
        threads: usize,
    ) -> Result<ChunkParts<'a>, EnqueueError> {
        if threads > 0 {
            return start(renderer, source.clone(), threads);
        }
        Ok(ChunkParts::Inline(Box::new(InlineRenderer {
            renderer,
            chunks: source.chunks()?,
            ready: VecDeque::new(),
        })))
    }

    /// The next part, `None` after the last. Cancel safe: no part is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<PartResult> {
        match self {
            ChunkParts::Inline(renderer) => renderer.next(),
            ChunkParts::Threads { chunks, current } => loop {
                if let Some(parts) = current
                    && let Some(part) = parts.recv().await
                {
                    return Some(part);
                }
                *current = None;
                *current = Some(chunks.recv().await?);
            },
        }
    }
}

fn start<'a>(
    renderer: Renderer,
    source: RowSource,
    threads: usize,
) -> Result<ChunkParts<'a>, EnqueueError> {
    let renderer = Arc::new(renderer);
    let (announce, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let (tasks, queued) = sync_channel::<RenderTask>(threads);
    let queued = Arc::new(Mutex::new(queued));
    for number in 0..threads {
        let (renderer, queued) = (Arc::clone(&renderer), Arc::clone(&queued));
        spawn(format!("render-{number}"), move || {
            render(&renderer, &queued)
        })?;
    }
    spawn("read".to_string(), move || {
        if let Err(error) = read(&source, &announce, &tasks) {
            send_error(error, &announce);
        }
    })?;
    Ok(ChunkParts::Threads {
        chunks,
        current: None,
    })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), EnqueueError> {
    let thread = thread::Builder::new().name(name);
    let started = thread.stack_size(STACK_BYTES).spawn(work);
    started
        .map(drop)
        .map_err(|error| EnqueueError::Thread(error.to_string()))
}

fn render(renderer: &Renderer, tasks: &Mutex<TaskReceiver<RenderTask>>) {
    loop {
        // A thread that panicked while it held the lock has not damaged the receiver.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(((chunk, rows), parts)) = task else {
            return;
        };
        renderer.chunk(chunk, &rows, &mut |part| parts.blocking_send(part).is_ok());
    }
}

fn read(
    source: &RowSource,
    announce: &mpsc::Sender<mpsc::Receiver<PartResult>>,
    tasks: &SyncSender<RenderTask>,
) -> Result<(), RecipientsError> {
    for rows in source.chunks()? {
        let rows = rows?;
        let (parts, rendered) = mpsc::channel(1);
        // Announced before it is rendered, so that chunks stay in order.
        let is_wanted =
            announce.blocking_send(rendered).is_ok() && tasks.send((rows, parts)).is_ok();
        if !is_wanted {
            break;
        }
    }
    Ok(())
}

fn send_error(error: RecipientsError, announce: &mpsc::Sender<mpsc::Receiver<PartResult>>) {
    let (parts, rendered) = mpsc::channel(1);
    // Sending fails if the caller has dropped the receiver, and then nobody needs the error.
    let _ = parts.blocking_send(Err(ChunkPartError::Recipients(error)));
    let _ = announce.blocking_send(rendered);
}
