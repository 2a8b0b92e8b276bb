//! A message made ready for one connection: its commands, its size, its bytes as they go over the wire. Everything
//! that could make it unsendable is found here, before the server hears of it.

use super::Feed;
use super::Outgoing;
use super::content::{BareLineEnd, ContentWriter};
use super::date;
use super::ehlo::Extensions;
use super::envelope::{Envelope, envelope, refused};
use super::taken::Taken;
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};
use bytes::Bytes;
use std::time::SystemTime;

/// A message up to this size is written with one call; a longer one in pieces of this size, so that a connection
/// never holds a second copy of it.
pub const PIECE_BYTES: usize = 64 * 1024;

/// How the content is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// DATA, ended by a lone dot.
    Dot,
    /// One BDAT chunk, its length before it (RFC 3030).
    Chunk,
}

pub struct Draft<'feed> {
    pub taken: Taken<'feed>,
    pub envelope: Envelope,
    date: String,
    content: Bytes,
    /// The content as it is written, if it is short.
    block: Option<Vec<u8>>,
    handover: Handover,
    size_bytes: usize,
}

impl<'feed> Draft<'feed> {
    /// Takes a message. One that cannot be sent is settled at once and `None` is returned. `spare` is a buffer to
    /// use again.
    pub fn take(
        feed: &'feed dyn Feed,
        message: Outgoing,
        offered: &Extensions,
        handover: Handover,
        spare: Vec<u8>,
    ) -> Option<Draft<'feed>> {
        let taken = Taken::new(feed, message.ticket);
        match Draft::build(message, offered, handover, spare) {
            Ok((envelope, date, content, block)) => Some(Draft {
                taken,
                envelope,
                size_bytes: size_bytes(&date, &content),
                date,
                content,
                block,
                handover,
            }),
            Err(attempt) => {
                taken.settle(attempt);
                None
            }
        }
    }

    fn build(
        message: Outgoing,
        offered: &Extensions,
        handover: Handover,
        mut spare: Vec<u8>,
    ) -> Result<(Envelope, String, Bytes, Option<Vec<u8>>), Attempt> {
        let date = date::field(SystemTime::now());
        let size_bytes = size_bytes(&date, &message.content);
        let envelope = envelope(&message, size_bytes, offered)?;
        let content = message.content;
        spare.clear();
        let block = if size_bytes <= PIECE_BYTES {
            write_whole(&date, &content, handover, size_bytes, &mut spare).map_err(malformed)?;
            Some(spare)
        } else {
            check(&content, &mut spare).map_err(malformed)?;
            None
        };
        Ok((envelope, date, content, block))
    }

    /// The whole content, if it is to go in one write; once.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        self.block.take()
    }

    /// The content of a long message in pieces, the last of which ends it.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces {
            writer: ContentWriter::new(self.handover == Handover::Dot),
            head: opening(&self.date, self.handover, self.size_bytes),
            rest: &self.content,
            handover: self.handover,
        }
    }
}

/// With the Date field and the end of the last line, before dots are doubled: what SIZE and BDAT count.
fn size_bytes(date: &str, content: &[u8]) -> usize {
    let line_end = if content.is_empty() || content.ends_with(b"\r\n") {
        0
    } else {
        2
    };
    date.len() + content.len() + line_end
}

fn opening(date: &str, handover: Handover, size_bytes: usize) -> String {
    match handover {
        Handover::Dot => date.to_string(),
        Handover::Chunk => format!("BDAT {size_bytes} LAST\r\n{date}"),
    }
}

fn ending(handover: Handover) -> &'static [u8] {
    match handover {
        Handover::Dot => b".\r\n",
        Handover::Chunk => b"",
    }
}

fn write_whole(
    date: &str,
    content: &[u8],
    handover: Handover,
    size_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), BareLineEnd> {
    let mut writer = ContentWriter::new(handover == Handover::Dot);
    out.extend_from_slice(opening(date, handover, size_bytes).as_bytes());
    writer.push(content, out)?;
    writer.finish(out)?;
    out.extend_from_slice(ending(handover));
    Ok(())
}

/// Reads a long message once without keeping it.
fn check(content: &[u8], scratch: &mut Vec<u8>) -> Result<(), BareLineEnd> {
    let mut writer = ContentWriter::new(false);
    for piece in content.chunks(PIECE_BYTES) {
        scratch.clear();
        writer.push(piece, scratch)?;
    }
    writer.finish(scratch)
}

fn malformed(error: BareLineEnd) -> Attempt {
    let code = EnhancedCode(5, 6, 0);
    refused(Stage::Data, 554, code, &format!("malformed: {error}"))
}

pub struct Pieces<'draft> {
    writer: ContentWriter,
    head: String,
    rest: &'draft [u8],
    handover: Handover,
}

impl Pieces<'_> {
    /// Appends the next piece to `out`; false after the last.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool, BareLineEnd> {
        out.extend_from_slice(std::mem::take(&mut self.head).as_bytes());
        let (piece, rest) = self.rest.split_at(self.rest.len().min(PIECE_BYTES));
        self.rest = rest;
        self.writer.push(piece, out)?;
        if rest.is_empty() {
            self.writer.finish(out)?;
            out.extend_from_slice(ending(self.handover));
        }
        Ok(!rest.is_empty())
    }
}
