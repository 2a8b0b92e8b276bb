//! From the rows of one chunk to its records: composed, packed, compressed. Pure but for the composer it asks; this is
//! what the render threads do.

use super::error::EnqueueError;
use super::job::{Compose, Job, Suppressed};
use crate::domain::chunk::{ChunkHead, MAX_STORED_BYTES, MessageLine};
use crate::domain::content::MessageContent;
use crate::domain::ids::{Row, RunId};
use crate::domain::project_key::ProjectKey;
use crate::domain::recipient::RecipientRow;
use crate::domain::records::Tally;
use crate::queue::Record;
use crate::queue::chunk::{ChunkError, Origin, Sharing, pack};
use crate::recipients::RecipientsError;
use crate::render::RenderError;
use std::path::Path;
use std::sync::Arc;

/// A JSON line before a message: its address may be as long as RFC 5321 allows, and so may the return path.
const LINE_BYTES: usize = 1024;

/// Everything that messages of a run have in common.
pub struct Renderer {
    content: Arc<dyn Compose>,
    suppressed: Arc<Suppressed>,
    key: ProjectKey,
    id_domain: String,
    return_path: String,
    run: RunId,
    head: ChunkHead,
    timestamp: String,
    source: String,
    sharing: Sharing,
}

/// What the chunks of a run say of it.
pub struct Head {
    pub run: RunId,
    pub fingerprint: String,
}

/// Consecutive rows of one chunk as records; a chunk that is large comes in several pieces.
#[derive(Debug)]
pub struct Piece {
    pub chunk: u64,
    pub records: Vec<Record>,
    /// Of these rows. `recipients` is the rows.
    pub tally: Tally,
}

/// Why a chunk cannot be made.
#[derive(Debug, Clone, PartialEq)]
pub enum PieceError {
    Recipients(RecipientsError),
    Render(RenderError),
    Chunk { line: u64, what: ChunkError },
}

impl PieceError {
    /// `is_partly_sealed`: earlier batches of the run may be on their way already.
    pub fn into_error(self, recipients: &Path, is_partly_sealed: bool) -> EnqueueError {
        match self {
            PieceError::Recipients(error) => error.into(),
            PieceError::Render(error) if is_partly_sealed => EnqueueError::RenderAfterSeal(error),
            PieceError::Render(error) => EnqueueError::Render(error),
            PieceError::Chunk { line, what } => EnqueueError::Chunk {
                recipients: recipients.display().to_string(),
                line,
                what,
            },
        }
    }
}

/// Where pieces go; `false`: nobody wants any more.
pub type Give<'a> = &'a mut dyn FnMut(Result<Piece, PieceError>) -> bool;

type Rendered = (MessageLine, MessageContent);

impl Renderer {
    /// `timestamp` is RFC 3339, UTC.
    pub fn new(job: &Job, head: Head, timestamp: String) -> Renderer {
        Renderer {
            content: Arc::clone(&job.content),
            suppressed: Arc::clone(&job.suppressed),
            key: job.key.clone(),
            id_domain: job.id_domain.clone(),
            return_path: job.return_path.clone(),
            head: ChunkHead {
                campaign: head.run.campaign.clone(),
                run: head.run.run.clone(),
                key: head.run.key(),
                fingerprint: head.fingerprint,
                first_row: 0,
                last_row: 0,
                count: 0,
                moved_from: None,
                trace_id: job.trace_id.clone(),
            },
            run: head.run,
            timestamp,
            source: job.source.clone(),
            sharing: Sharing::default(),
        }
    }

    /// Gives the chunk's pieces in order, at most 8 MiB to be stored at a time, or why there are none.
    pub fn chunk(&self, chunk: u64, rows: &[RecipientRow], give: Give<'_>) {
        if let Err(error) = self.pieces(chunk, rows, give) {
            give(Err(error));
        }
    }

    fn pieces(&self, chunk: u64, rows: &[RecipientRow], give: Give<'_>) -> Result<(), PieceError> {
        let mut messages: Vec<Rendered> = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in rows {
            let message = self.message(row)?;
            let more = message.1.own().len() + LINE_BYTES;
            if bytes + more > MAX_STORED_BYTES && !messages.is_empty() {
                if !give(Ok(self.piece(chunk, &messages)?)) {
                    return Ok(());
                }
                messages.clear();
                bytes = 0;
            }
            bytes += more;
            messages.push(message);
        }
        if !messages.is_empty() {
            give(Ok(self.piece(chunk, &messages)?));
        }
        Ok(())
    }

    fn message(&self, row: &RecipientRow) -> Result<Rendered, PieceError> {
        let address = row.address.as_str();
        let token = self.key.message_token(&self.run, address);
        let id = format!("{token}@{}", self.id_domain);
        let suppressed = (self.suppressed)(&row.address);
        let content = match suppressed {
            Some(_) => MessageContent::default(),
            None => {
                let message = self.content.compose(row, &id).map_err(PieceError::Render)?;
                self.sharing.cut(message)
            }
        };
        let line = MessageLine {
            row: row.row,
            line: row.line,
            address: address.to_string(),
            id,
            return_path: self.return_path.clone(),
            tries: 0,
            hop: 0,
            round: 0,
            suppressed,
            bytes: 0,
        };
        Ok((line, content))
    }

    fn piece(&self, chunk: u64, messages: &[Rendered]) -> Result<Piece, PieceError> {
        let origin = Origin {
            timestamp: &self.timestamp,
            source: &self.source,
        };
        let records = pack(&self.head, origin, messages).map_err(|what| PieceError::Chunk {
            line: line_of(messages, &what),
            what,
        })?;
        Ok(Piece {
            chunk,
            tally: tally(messages, &records),
            records,
        })
    }
}

/// Line of the recipients file of the message that does not fit.
fn line_of(messages: &[Rendered], error: &ChunkError) -> u64 {
    let row: Option<Row> = match error {
        ChunkError::StoredTooLarge { row, .. } | ChunkError::CompressedTooLarge { row, .. } => {
            Some(*row)
        }
        _ => None,
    };
    let found = messages.iter().find(|(line, _)| Some(line.row) == row);
    found.or(messages.first()).map_or(0, |(line, _)| line.line)
}

fn tally(messages: &[Rendered], records: &[Record]) -> Tally {
    let count = |count: usize| count as u64;
    let suppressed = messages
        .iter()
        .filter(|(line, _)| line.suppressed.is_some());
    let suppressed = count(suppressed.count());
    let payloads = records.iter().filter_map(|record| record.payload.as_ref());
    Tally {
        recipients: count(messages.len()),
        enqueued: count(messages.len()) - suppressed,
        suppressed,
        chunks: count(records.len()),
        bytes_rendered: messages
            .iter()
            .map(|(_, content)| count(content.len()))
            .sum(),
        bytes_queued: payloads.map(|payload| count(payload.len())).sum(),
        ..Tally::default()
    }
}
