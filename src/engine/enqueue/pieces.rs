//! The chunks of a run in order, rendered ahead by threads of their own or, for simulations, in the caller's. Every
//! channel is short, so memory does not depend on the list or on who is slower.

use super::error::EnqueueError;
use super::renderer::{Piece, PieceError, Renderer};
use super::source::{ChunkRows, Source};
use crate::domain::recipient::RecipientRow;
use crate::recipients::RecipientsError;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver as OrderReceiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::mpsc;

/// Chunks between the reader and whoever appends.
const CHUNKS_AHEAD: usize = 8;

type Made = Result<Piece, PieceError>;
type Rows = (u64, Vec<RecipientRow>);
/// A chunk to be rendered, and where its pieces go.
type Order = (Rows, mpsc::Sender<Made>);

/// Where the pieces come from.
pub enum Pieces<'a> {
    Here {
        renderer: Renderer,
        chunks: ChunkRows<'a>,
        ready: VecDeque<Made>,
    },
    Threads {
        /// One channel for each chunk, in order.
        chunks: mpsc::Receiver<mpsc::Receiver<Made>>,
        current: Option<mpsc::Receiver<Made>>,
    },
}

impl<'a> Pieces<'a> {
    /// With `threads` that render and one that reads; with 0 nothing happens but when the next piece is asked for.
    /// The threads end when there is nothing left to do or nobody takes what they make.
    pub fn new(
        renderer: Renderer,
        source: &'a Source,
        threads: usize,
    ) -> Result<Pieces<'a>, EnqueueError> {
        if threads > 0 {
            return start(renderer, source.clone(), threads);
        }
        Ok(Pieces::Here {
            renderer,
            chunks: source.chunks()?,
            ready: VecDeque::new(),
        })
    }

    /// The next piece; `None` after the last. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Made> {
        match self {
            Pieces::Here {
                renderer,
                chunks,
                ready,
            } => {
                while ready.is_empty() {
                    render_here(renderer, chunks.next()?, ready);
                }
                ready.pop_front()
            }
            Pieces::Threads { chunks, current } => loop {
                if let Some(pieces) = current
                    && let Some(made) = pieces.recv().await
                {
                    return Some(made);
                }
                *current = None;
                *current = Some(chunks.recv().await?);
            },
        }
    }
}

fn render_here(
    renderer: &Renderer,
    rows: Result<Rows, RecipientsError>,
    ready: &mut VecDeque<Made>,
) {
    let mut give = |made| {
        ready.push_back(made);
        true
    };
    match rows {
        Ok((chunk, rows)) => renderer.chunk(chunk, &rows, &mut give),
        Err(error) => {
            give(Err(PieceError::Recipients(error)));
        }
    }
}

fn start<'a>(
    renderer: Renderer,
    source: Source,
    threads: usize,
) -> Result<Pieces<'a>, EnqueueError> {
    let renderer = Arc::new(renderer);
    let (announce, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let (orders, taken) = sync_channel::<Order>(threads);
    let taken = Arc::new(Mutex::new(taken));
    for number in 0..threads {
        let (renderer, taken) = (Arc::clone(&renderer), Arc::clone(&taken));
        spawn(format!("render-{number}"), move || {
            render(&renderer, &taken)
        })?;
    }
    spawn("read".to_string(), move || {
        if let Err(error) = read(&source, &announce, &orders) {
            fail(error, &announce);
        }
    })?;
    Ok(Pieces::Threads {
        chunks,
        current: None,
    })
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<(), EnqueueError> {
    let started = thread::Builder::new().name(name).spawn(work);
    started
        .map(drop)
        .map_err(|error| EnqueueError::Thread(error.to_string()))
}

fn render(renderer: &Renderer, orders: &Mutex<OrderReceiver<Order>>) {
    loop {
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(((chunk, rows), pieces)) = order else {
            return;
        };
        renderer.chunk(chunk, &rows, &mut |made| pieces.blocking_send(made).is_ok());
    }
}

fn read(
    source: &Source,
    announce: &mpsc::Sender<mpsc::Receiver<Made>>,
    orders: &SyncSender<Order>,
) -> Result<(), RecipientsError> {
    for rows in source.chunks()? {
        let rows = rows?;
        let (pieces, made) = mpsc::channel(1);
        let is_wanted = announce.blocking_send(made).is_ok() && orders.send((rows, pieces)).is_ok();
        if !is_wanted {
            break;
        }
    }
    Ok(())
}

fn fail(error: RecipientsError, announce: &mpsc::Sender<mpsc::Receiver<Made>>) {
    let (pieces, made) = mpsc::channel(1);
    // Whoever has gone away does not need to know.
    let _ = pieces.blocking_send(Err(PieceError::Recipients(error)));
    let _ = announce.blocking_send(made);
}
