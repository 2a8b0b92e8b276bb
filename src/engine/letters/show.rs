//! One letter with everything that happened to it.

use super::list::{LetterFilter, ListedLetter, list};
use crate::domain::chunk::Message;
use crate::domain::event::Event;
use crate::engine::account::{EventFilter, events};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::campaign_topic::read_ledger;
use crate::engine::read_model::letter::read;
use crate::engine::read_model::scan::record_at;
use crate::queue::Queue;
use std::ops::ControlFlow;

#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub letter: ListedLetter,
    /// Every event of the message, by rank, then time.
    pub history: Vec<Event>,
    /// As it was rendered; no `Date` field.
    pub message: Message,
}

/// The letter of this message id; of several the last round's. Errors: there is none.
pub async fn show(queue: &dyn Queue, id: &str) -> Result<Shown, AccountError> {
    let ledger = read_ledger(queue, true).await?;
    let filter = LetterFilter {
        ids: vec![id.to_string()],
        ..LetterFilter::default()
    };
    let none = || AccountError::NoLetter(id.to_string());
    let letters = list(queue, &ledger, &filter).await?;
    let letter = letters
        .into_iter()
        .max_by_key(|letter| letter.round)
        .ok_or_else(none)?;
    let stored = record_at(queue, letter.at, letter.offset)
        .await?
        .ok_or_else(none)?;
    let (_, chunk) = read(letter.at, &stored)?;
    let message = chunk.messages.into_iter().next().ok_or_else(none)?;
    let mut history = Vec::new();
    let of_message = EventFilter {
        message_id: Some(id.to_string()),
        ..EventFilter::default()
    };
    events(queue, &of_message, false, &mut |event| {
        history.push(event);
        ControlFlow::Continue(())
    })
    .await?;
    history.sort_by(|one, other| {
        let key = |event: &Event| (event.rank(), event.header.timestamp.clone());
        key(one).cmp(&key(other))
    });
    Ok(Shown {
        letter,
        history,
        message,
    })
}
