//! `mailq dlq list`.

use super::{Filter, filter};
use crate::commands::project::OpenProject;
use crate::commands::table::{Align, Table};
use crate::commands::text::{grouped, plain};
use crate::commands::time::local;
use crate::commands::{Exit, Failure, Global, output};
use crate::engine::account;
use crate::engine::letters::{self, ListedLetter};

pub async fn run(filter: &Filter, global: &Global, project: &OpenProject) -> Result<Exit, Failure> {
    let wanted = filter::read(filter, project).await?;
    let queue = project.queue.as_ref();
    let ledger = account::read_ledger(queue, true).await?;
    let letters = letters::list(queue, &ledger, &wanted).await?;
    if global.json {
        let mut list = output::List::default();
        for letter in &letters {
            list.add(letter)?;
        }
        list.finish()?;
        return Ok(Exit::Done);
    }
    if letters.is_empty() {
        global.say(match wanted.is_any() {
            true => "no dead letters",
            false => "no dead letter passes the filter",
        });
        return Ok(Exit::Done);
    }
    let mut text = table(&letters).lines().join("\n");
    text.push('\n');
    output::raw(text.as_bytes())?;
    global.say(format!(
        "{}: `mailq dlq show ID` tells one's history, `mailq dlq replay` sends them again",
        count(letters.len() as u64)
    ));
    Ok(Exit::Done)
}

/// `1 letter`, `1,200 letters`.
pub fn count(letters: u64) -> String {
    match letters {
        1 => "1 letter".to_string(),
        letters => format!("{} letters", grouped(letters)),
    }
}

fn table(letters: &[ListedLetter]) -> Table {
    let mut table = Table::new(&[
        ("SINCE", Align::Left),
        ("CAMPAIGN", Align::Left),
        ("ADDRESS", Align::Left),
        ("REASON", Align::Left),
        ("ATTEMPTS", Align::Right),
        ("ID", Align::Left),
        ("LAST REPLY", Align::Left),
    ]);
    for letter in letters {
        let reason = letter.reason.map(|reason| reason.to_string());
        let reason = reason.unwrap_or_default();
        table.row(vec![
            local(&letter.since),
            plain(&letter.campaign, 40),
            plain(&letter.address, 64),
            match letter.in_doubt {
                true => format!("in_doubt ({reason})"),
                false => reason,
            },
            grouped(u64::from(letter.attempts)),
            // Whole: it is to be copied.
            plain(&letter.id, 1_000),
            plain(letter.last_reply.as_deref().unwrap_or_default(), 80),
        ]);
    }
    table
}
