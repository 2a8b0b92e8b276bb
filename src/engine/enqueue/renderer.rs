//! From the rows of one chunk to its records: composes, packs and compresses messages. Pure, apart from the composer.
//! The render threads run this.

use super::error::EnqueueError;
use super::job::{Compose, Job, SuppressionCheck};
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

/// Upper bound for the JSON line of a message: address and return path have at most 254 bytes each.
const LINE_BYTES: usize = 1024;

/// What all messages of a run have in common.
pub struct Renderer {
    content: Arc<dyn Compose>,
    suppression: Arc<SuppressionCheck>,
    key: ProjectKey,
    id_domain: String,
    return_path: String,
    run: RunId,
    head: ChunkHead,
    timestamp: String,
    source: String,
    sharing: Sharing,
}

/// The run as its chunks name it.
pub struct Head {
    pub run: RunId,
    pub fingerprint: String,
}

/// Consecutive rows of one chunk as records. A large chunk comes in several parts.
#[derive(Debug)]
pub struct ChunkPart {
    pub chunk: u64,
    pub records: Vec<Record>,
    /// Counts of these rows. `recipients` is their number.
    pub tally: Tally,
}

/// Why a chunk cannot be made.
#[derive(Debug, Clone, PartialEq)]
pub enum ChunkPartError {
    Recipients(RecipientsError),
    Render(RenderError),
    Chunk { line: u64, what: ChunkError },
}

impl ChunkPartError {
    /// `is_partly_sealed`: earlier batches of the run may be sent already.
    pub fn into_error(self, recipients: &Path, is_partly_sealed: bool) -> EnqueueError {
        match self {
            ChunkPartError::Recipients(error) => error.into(),
            ChunkPartError::Render(error) if is_partly_sealed => {
                EnqueueError::RenderAfterSeal(error)
            }
            ChunkPartError::Render(error) => EnqueueError::Render(error),
            ChunkPartError::Chunk { line, what } => EnqueueError::Chunk {
                recipients: recipients.display().to_string(),
                line,
                what,
            },
        }
    }
}

/// Receives the parts of a chunk. Returns `false` if no more are wanted.
pub type Emit<'a> = &'a mut dyn FnMut(Result<ChunkPart, ChunkPartError>) -> bool;

type Rendered = (MessageLine, MessageContent);

impl Renderer {
    /// `timestamp` is RFC 3339, UTC.
    pub fn new(job: &Job, head: Head, timestamp: String) -> Renderer {
        Renderer {
            content: Arc::clone(&job.content),
            suppression: Arc::clone(&job.suppressed),
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

    /// Emits the parts of a chunk in order, each with at most 8 MiB to be stored, or an error.
    pub fn chunk(&self, chunk: u64, rows: &[RecipientRow], emit: Emit<'_>) {
        if let Err(error) = self.parts(chunk, rows, emit) {
            emit(Err(error));
        }
    }

    fn parts(
        &self,
        chunk: u64,
        rows: &[RecipientRow],
        emit: Emit<'_>,
    ) -> Result<(), ChunkPartError> {
        let mut messages: Vec<Rendered> = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in rows {
            let message = self.message(row)?;
            let more = message.1.own().len() + LINE_BYTES;
            if bytes + more > MAX_STORED_BYTES && !messages.is_empty() {
                if !emit(Ok(self.part(chunk, &messages)?)) {
                    return Ok(());
                }
                messages.clear();
                bytes = 0;
            }
            bytes += more;
            messages.push(message);
        }
        if !messages.is_empty() {
            emit(Ok(self.part(chunk, &messages)?));
        }
        Ok(())
    }

    fn message(&self, row: &RecipientRow) -> Result<Rendered, ChunkPartError> {
        let address = row.address.as_str();
        let token = self.key.message_token(&self.run, address);
        let id = format!("{token}@{}", self.id_domain);
        let suppressed = (self.suppression)(&row.address);
        let content = match suppressed {
            Some(_) => MessageContent::default(),
            None => {
                let message = self
                    .content
                    .compose(row, &id)
                    .map_err(ChunkPartError::Render)?;
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

    fn part(&self, chunk: u64, messages: &[Rendered]) -> Result<ChunkPart, ChunkPartError> {
        let origin = Origin {
            timestamp: &self.timestamp,
            source: &self.source,
        };
        let records = pack(&self.head, origin, messages).map_err(|what| ChunkPartError::Chunk {
            line: line_of(messages, &what),
            what,
        })?;
        Ok(ChunkPart {
            chunk,
            tally: tally(messages, &records),
            records,
        })
    }
}

/// Line in the recipients file of the message that an error is about, or of the first one.
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
