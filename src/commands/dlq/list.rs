//! `mailq dlq list`.

use super::filter::{self, Filter};
use crate::commands::output::{Align, Column, Format, Listing, Row};
use crate::commands::project::OpenProject;
use crate::commands::text::{counted, grouped, plain};
use crate::commands::time::local;
use crate::commands::{Exit, Failure, Global};
use crate::engine::account;
use crate::engine::letters::{self, ListedLetter};
use std::borrow::Cow;

pub async fn run(filter: &Filter, global: &Global, project: &OpenProject) -> Result<Exit, Failure> {
    let wanted = filter::read(filter, project).await?;
    let queue = project.queue.as_ref();
    let ledger = account::read_ledger(queue, true).await?;
    let letters = letters::list(queue, &ledger, &wanted).await?;
    if letters.is_empty() && !global.json {
        global.say(match wanted.is_any() {
            true => "no dead letters",
            false => "no dead letter matches the filter",
        });
        return Ok(Exit::Done);
    }
    let mut list = Listing::new(Format::json_or(global.json, Format::Table), &COLUMNS)?;
    for letter in &letters {
        list.add(|| letter, || row(letter))?;
    }
    list.finish()?;
    if !global.json {
        global.say(format!(
            "{}: `mailq dlq show ID` shows one, `mailq dlq replay` sends them again",
            counted(letters.len() as u64, "letter")
        ));
    }
    Ok(Exit::Done)
}

const COLUMNS: [Column<'static>; 7] = [
    ("SINCE", Align::Left),
    ("CAMPAIGN", Align::Left),
    ("ADDRESS", Align::Left),
    ("REASON", Align::Left),
    ("ATTEMPTS", Align::Right),
    ("ID", Align::Left),
    ("LAST REPLY", Align::Left),
];

fn row(letter: &ListedLetter) -> Row<'_> {
    let reason = letter.reason.map(|reason| reason.to_string());
    let reason = reason.unwrap_or_default();
    let cells = [
        local(&letter.since),
        plain(&letter.campaign, 40),
        plain(&letter.address, 64),
        match letter.in_doubt {
            true => format!("in_doubt ({reason})"),
            false => reason,
        },
        grouped(u64::from(letter.attempts)),
        // In full, because people copy it.
        plain(&letter.id, 1_000),
        plain(letter.last_reply.as_deref().unwrap_or_default(), 80),
    ];
    cells.into_iter().map(Cow::Owned).collect()
}
