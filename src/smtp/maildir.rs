//! A folder of files instead of a server (`maildir:PATH`): what would have been mailed, in the layout of Maildir.

use super::content::ContentWriter;
use super::date;
use super::ehlo::Extensions;
use super::envelope::{envelope, refused};
use super::outbox::{Outbox, file_name};
use super::reply::own_reply;
use super::settings::OpenError;
use super::taken::Taken;
use super::{End, Feed, Offers, Outgoing, Relay};
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};
use async_trait::async_trait;
use std::path::PathBuf;
use std::time::SystemTime;

/// Messages that one connection has on their way to the disk at once; they share the cost of a sync.
const BATCH_MESSAGES: usize = 64;

pub struct MaildirRelay {
    name: String,
    outbox: Outbox,
}

impl MaildirRelay {
    pub fn open(path: PathBuf) -> Result<MaildirRelay, OpenError> {
        Ok(MaildirRelay {
            name: path.display().to_string(),
            outbox: Outbox::open(path)?,
        })
    }

    /// Writes the messages and settles them; the end, if the disk took one of them not.
    async fn deliver<'feed>(&self, batch: Vec<(Taken<'feed>, String, Vec<u8>)>) -> Option<End> {
        let mut under_way = Vec::with_capacity(batch.len());
        for (mut taken, name, bytes) in batch {
            taken.begins();
            if taken.may_finish() {
                taken.dot_goes_out();
                under_way.push((taken, self.outbox.write(name, bytes)));
            } else {
                taken.not_sent("the claim expired before the message was written");
            }
        }
        let mut end = None;
        for (taken, written) in under_way {
            match written.await {
                Ok(path) => {
                    let text = format!("written to {}", path.display());
                    let reply = own_reply(250, EnhancedCode(2, 0, 0), &text);
                    taken.settle(Attempt::Delivered(reply));
                }
                Err(why) => {
                    taken.not_sent(why.as_str());
                    end.get_or_insert(End::Closed {
                        stage: Stage::Data,
                        reply: None,
                        why,
                    });
                }
            }
        }
        end
    }
}

#[async_trait(?Send)]
impl Relay for MaildirRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn converse(&self, feed: &dyn Feed) -> End {
        if let Err(why) = self.outbox.make().await {
            return unavailable(why);
        }
        while let Some(first) = feed.next().await {
            let mut batch = Vec::new();
            let mut message = Some(first);
            while let Some(outgoing) = message {
                let taken = Taken::new(feed, outgoing.ticket);
                match file(&outgoing) {
                    Ok(bytes) => batch.push((taken, file_name(&outgoing.message_id), bytes)),
                    Err(attempt) => taken.settle(attempt),
                }
                message = if batch.len() < BATCH_MESSAGES {
                    feed.try_next()
                } else {
                    None
                };
            }
            if let Some(end) = self.deliver(batch).await {
                return end;
            }
        }
        End::Finished
    }

    async fn probe(&self) -> Result<Offers, End> {
        self.outbox.make().await.map_err(unavailable)?;
        Ok(Offers {
            greeting: format!("files in {}; no mail leaves this machine", self.name),
            ..Offers::default()
        })
    }
}

fn unavailable(why: String) -> End {
    End::Unavailable {
        stage: Stage::Connect,
        reply: None,
        why,
    }
}

/// The envelope as the fields that a delivery leaves (RFC 5321 §4.4), then the message.
fn file(message: &Outgoing) -> Result<Vec<u8>, Attempt> {
    let anything = Extensions {
        smtputf8: true,
        ..Extensions::default()
    };
    // The same rules as for a server, so that an outbox shows what a server would have got.
    envelope(message, message.content.len(), &anything)?;
    let mut bytes = format!(
        "Return-Path: <{}>\r\nX-Original-To: {}\r\nDelivered-To: {}\r\n{}",
        message.return_path,
        message.recipient,
        message.recipient,
        date::field(SystemTime::now())
    )
    .into_bytes();
    let mut writer = ContentWriter::new(false);
    let mut pieces = message.content.pieces();
    pieces
        .try_for_each(|piece| writer.push(piece, &mut bytes))
        .and_then(|()| writer.finish(&mut bytes))
        .map_err(|error| {
            let code = EnhancedCode(5, 6, 0);
            refused(Stage::Data, 554, code, &format!("malformed: {error}"))
        })?;
    Ok(bytes)
}
