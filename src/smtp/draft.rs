//! A message made ready for one connection: its commands, its size, its bytes as they go over the wire. Everything
//! that could make it unsendable is found here, before the server hears of it.

use super::Feed;
use super::Outgoing;
use super::content::{BareLineEnd, ContentWriter};
use super::date;
use super::ehlo::Extensions;
use super::envelope::{Envelope, envelope, refused};
use super::taken::Taken;
use crate::domain::content::MessageContent;
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};
use std::collections::VecDeque;
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
    text: Text,
}

/// The message itself.
struct Text {
    date: String,
    content: MessageContent,
    handover: Handover,
    size_bytes: usize,
    /// The content as it is written, if it is short.
    block: Option<Vec<u8>>,
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
        let text = Text::new(message.content.clone(), handover);
        let prepared = envelope(&message, text.size_bytes, offered)
            .and_then(|envelope| Ok((envelope, text.prepared(spare).map_err(malformed)?)));
        match prepared {
            Ok((envelope, text)) => Some(Draft {
                taken,
                envelope,
                text,
            }),
            Err(attempt) => {
                taken.settle(attempt);
                None
            }
        }
    }

    /// The whole content, if it is to go in one write; once.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        self.text.block.take()
    }

    /// The content of a long message in pieces, the last of which ends it.
    pub fn pieces(&self) -> Pieces<'_> {
        self.text.pieces()
    }
}

impl Text {
    fn new(content: MessageContent, handover: Handover) -> Text {
        let date = date::field(SystemTime::now());
        Text {
            size_bytes: size_bytes(&date, &content),
            date,
            content,
            handover,
            block: None,
        }
    }

    /// Writes a short message into `spare`; reads a long one once without keeping it.
    fn prepared(mut self, mut spare: Vec<u8>) -> Result<Text, BareLineEnd> {
        spare.clear();
        let mut pieces = self.pieces();
        if self.size_bytes <= PIECE_BYTES {
            while pieces.next_into(&mut spare)? {}
            self.block = Some(spare);
        } else {
            while pieces.next_into(&mut spare)? {
                spare.clear();
            }
        }
        Ok(self)
    }

    fn pieces(&self) -> Pieces<'_> {
        let head = match self.handover {
            Handover::Dot => self.date.clone(),
            Handover::Chunk => format!("BDAT {} LAST\r\n{}", self.size_bytes, self.date),
        };
        Pieces {
            writer: ContentWriter::new(self.handover == Handover::Dot),
            head,
            rest: self.content.pieces().collect(),
            handover: self.handover,
        }
    }
}

/// With the Date field and the end of the last line, before dots are doubled: what SIZE and BDAT count.
fn size_bytes(date: &str, content: &MessageContent) -> usize {
    let line_end = if content.is_empty() || content.tail(2) == b"\r\n" {
        0
    } else {
        2
    };
    date.len() + content.len() + line_end
}

fn ending(handover: Handover) -> &'static [u8] {
    match handover {
        Handover::Dot => b".\r\n",
        Handover::Chunk => b"",
    }
}

fn malformed(error: BareLineEnd) -> Attempt {
    let code = EnhancedCode(5, 6, 0);
    refused(Stage::Data, 554, code, &format!("malformed: {error}"))
}

pub struct Pieces<'draft> {
    writer: ContentWriter,
    head: String,
    rest: VecDeque<&'draft [u8]>,
    handover: Handover,
}

impl Pieces<'_> {
    /// Appends the next piece to `out`; false after the last.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool, BareLineEnd> {
        out.extend_from_slice(std::mem::take(&mut self.head).as_bytes());
        let mut room = PIECE_BYTES;
        while let Some(piece) = self.rest.pop_front() {
            let (now, later) = piece.split_at(piece.len().min(room));
            self.writer.push(now, out)?;
            room -= now.len();
            if !later.is_empty() {
                self.rest.push_front(later);
                return Ok(true);
            }
        }
        self.writer.finish(out)?;
        out.extend_from_slice(ending(self.handover));
        Ok(false)
    }
}
