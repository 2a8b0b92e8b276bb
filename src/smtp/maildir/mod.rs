//! A folder in place of a server (`maildir:PATH`): messages become files, in the layout of Maildir.

mod outbox;

use super::attempt_guard::AttemptGuard;
use super::content::ContentWriter;
use super::date;
use super::ehlo::Extensions;
use super::envelope::{envelope, refused};
use super::relay::{Capabilities, Feed, Outgoing, Relay, SessionEnd};
use super::reply::local_reply;
use super::settings::OpenError;
use crate::domain::outcome::{Attempt, EnhancedCode, Stage};
use async_trait::async_trait;
use outbox::{Outbox, file_name};
use std::path::PathBuf;
use std::time::SystemTime;

/// Messages that one connection writes at once, so that they share a sync.
const BATCH_MESSAGES: usize = 64;

/// A message as a file to be written.
struct PreparedFile<'feed> {
    attempt: AttemptGuard<'feed>,
    name: String,
    bytes: Vec<u8>,
}

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

    /// Writes files and reports the results. Returns the session's end if a file could not be written.
    async fn deliver(&self, batch: Vec<PreparedFile<'_>>) -> Option<SessionEnd> {
        let mut in_flight = Vec::with_capacity(batch.len());
        for mut file in batch {
            file.attempt.begin();
            if file.attempt.may_finish() {
                file.attempt.final_dot_is_sent();
                in_flight.push((file.attempt, self.outbox.write(file.name, file.bytes)));
            } else {
                file.attempt
                    .not_sent("the claim expired before the message was written");
            }
        }
        let mut end = None;
        for (attempt, written) in in_flight {
            match written.await {
                Ok(path) => {
                    let text = format!("written to {}", path.display());
                    let reply = local_reply(250, EnhancedCode(2, 0, 0), &text);
                    attempt.settle(Attempt::Delivered(reply));
                }
                Err(why) => {
                    attempt.not_sent(why.as_str());
                    end.get_or_insert(SessionEnd::Failed {
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

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        if let Err(why) = self.outbox.create_folders().await {
            return unavailable(why);
        }
        while let Some(first) = feed.next().await {
            let mut batch = Vec::new();
            let mut message = Some(first);
            while let Some(outgoing) = message {
                let attempt = AttemptGuard::new(feed, outgoing.ticket);
                match file(&outgoing) {
                    Ok(bytes) => batch.push(PreparedFile {
                        attempt,
                        name: file_name(&outgoing.message_id),
                        bytes,
                    }),
                    Err(refusal) => attempt.settle(refusal),
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
        SessionEnd::Finished
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        self.outbox.create_folders().await.map_err(unavailable)?;
        Ok(Capabilities {
            greeting: format!("files in {}; no mail leaves this machine", self.name),
            ..Capabilities::default()
        })
    }
}

fn unavailable(why: String) -> SessionEnd {
    SessionEnd::Unavailable {
        stage: Stage::Connect,
        reply: None,
        why,
    }
}

/// The envelope as the fields that a delivery adds (RFC 5321 §4.4), then the message.
fn file(message: &Outgoing) -> Result<Vec<u8>, Attempt> {
    let anything = Extensions {
        smtputf8: true,
        ..Extensions::default()
    };
    // The same checks as for a server, so that the folder gets what a server would get.
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
