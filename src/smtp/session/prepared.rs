//! A message prepared for one session: its envelope commands, its size, and its bytes as they are written. A message
//! that cannot be sent is found here, before any command is.

use super::mode::Transfer;
use crate::domain::content::MessageContent;
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};
use crate::smtp::attempt_guard::AttemptGuard;
use crate::smtp::content::{BareLineEnd, ContentWriter};
use crate::smtp::date;
use crate::smtp::ehlo::Extensions;
use crate::smtp::envelope::{Envelope, envelope, refused};
use crate::smtp::relay::{Feed, Outgoing};
use std::collections::VecDeque;
use std::time::SystemTime;

/// A message up to this size is written at once. A longer one is written in pieces of this size, so that a connection
/// never holds a second copy of it.
const PIECE_BYTES: usize = 64 * 1024;

pub struct PreparedMessage<'feed> {
    pub attempt: AttemptGuard<'feed>,
    pub envelope: Envelope,
    data: MailData,
}

/// The mail data (RFC 5321 §2.3.9): the Date field, then the content.
struct MailData {
    date: String,
    content: MessageContent,
    transfer: Transfer,
    size_bytes: usize,
    /// All bytes to be written, if they fit into one piece.
    block: Option<Vec<u8>>,
}

impl<'feed> PreparedMessage<'feed> {
    /// `None` if the message cannot be sent; its result has been reported then. `spare`: a buffer to reuse.
    pub fn new(
        feed: &'feed dyn Feed,
        message: Outgoing,
        extensions: &Extensions,
        transfer: Transfer,
        spare: Vec<u8>,
    ) -> Option<PreparedMessage<'feed>> {
        let attempt = AttemptGuard::new(feed, message.ticket);
        let data = MailData::new(message.content.clone(), transfer);
        let prepared = envelope(&message, data.size_bytes, extensions)
            .and_then(|envelope| Ok((envelope, data.checked(spare).map_err(malformed)?)));
        match prepared {
            Ok((envelope, data)) => Some(PreparedMessage {
                attempt,
                envelope,
                data,
            }),
            Err(refusal) => {
                attempt.settle(refusal);
                None
            }
        }
    }

    /// All bytes to be written, if they fit into one write. Returns them once.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        self.data.block.take()
    }

    /// The bytes of a long message, piece by piece.
    pub fn pieces(&self) -> Pieces<'_> {
        self.data.pieces()
    }
}

impl MailData {
    fn new(content: MessageContent, transfer: Transfer) -> MailData {
        let date = date::field(SystemTime::now());
        MailData {
            size_bytes: size_bytes(&date, &content),
            date,
            content,
            transfer,
            block: None,
        }
    }

    /// Checks every byte. Keeps the written form of a short message in `spare`.
    fn checked(mut self, mut spare: Vec<u8>) -> Result<MailData, BareLineEnd> {
        spare.clear();
        let is_short = self.size_bytes <= PIECE_BYTES;
        let mut pieces = self.pieces();
        while pieces.next_into(&mut spare)? {
            if !is_short {
                spare.clear();
            }
        }
        self.block = is_short.then_some(spare);
        Ok(self)
    }

    fn pieces(&self) -> Pieces<'_> {
        let head = match self.transfer {
            Transfer::Data => self.date.clone(),
            Transfer::Bdat => format!("BDAT {} LAST\r\n{}", self.size_bytes, self.date),
        };
        Pieces {
            writer: ContentWriter::new(self.transfer == Transfer::Data),
            head,
            rest: self.content.pieces().collect(),
            transfer: self.transfer,
        }
    }
}

/// The size for SIZE and BDAT: with the Date field and the end of the last line, before dot-stuffing (RFC 1870 §5).
fn size_bytes(date: &str, content: &MessageContent) -> usize {
    let line_end = if content.is_empty() || content.tail(2) == b"\r\n" {
        0
    } else {
        2
    };
    date.len() + content.len() + line_end
}

fn malformed(error: BareLineEnd) -> Attempt {
    let code = EnhancedCode(5, 6, 0);
    refused(Stage::Data, 554, code, &format!("malformed: {error}"))
}

/// The bytes of a message as they are written, piece by piece.
pub struct Pieces<'message> {
    writer: ContentWriter,
    head: String,
    rest: VecDeque<&'message [u8]>,
    transfer: Transfer,
}

impl Pieces<'_> {
    /// Appends the next piece to `out`. `false` after the last one.
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
        if self.transfer == Transfer::Data {
            out.extend_from_slice(b".\r\n");
        }
        Ok(false)
    }
}
