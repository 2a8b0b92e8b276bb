//! `mailq dlq export`: a file for each message, and a table of all letters.

use super::filter::{self, Filter};
use crate::commands::output::{Align, Cells, Column, Format, Listing, Row};
use crate::commands::project::OpenProject;
use crate::commands::text::counted;
use crate::commands::{Exit, Failure, Global, output};
use crate::domain::ids::shown_row;
use crate::engine::account;
use crate::engine::letters::{self, ListedLetter};
use crate::engine::read_model::scan::record_at;
use crate::private_file;
use serde_json::json;
use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const INDEX: &str = "letters.csv";

pub async fn run(
    filter: &Filter,
    to: &Path,
    global: &Global,
    project: &OpenProject,
) -> Result<Exit, Failure> {
    let wanted = filter::read(filter, project).await?;
    let queue = project.queue.as_ref();
    let ledger = account::read_ledger(queue, true).await?;
    let letters = letters::list(queue, &ledger, &wanted).await?;
    fs::create_dir_all(to).map_err(|error| unwritable(to, &error))?;
    let mut messages = 0;
    for letter in &letters {
        // The letter may have been replayed or purged since it was listed.
        let Some(stored) = record_at(queue, letter.at, letter.offset).await? else {
            continue;
        };
        let Ok((_, chunk)) = letters::read(letter.at, &stored) else {
            global.say(format!(
                "warning: letter `{}` cannot be read; skipped",
                letter.id
            ));
            continue;
        };
        for message in &chunk.messages {
            let path = to.join(file_name(letter));
            private_file::create(&path)
                .and_then(|mut file| file.write_all(&message.content.to_vec()))
                .map_err(|error| unwritable(&path, &error))?;
            messages += 1;
        }
    }
    let index = to.join(INDEX);
    write_index(&index, &letters)?;
    if global.json {
        output::json(&json!({"exported": messages, "folder": to, "index": index}))?;
    } else {
        global.say(format!(
            "wrote {} and {INDEX} to `{}`",
            counted(messages, "letter"),
            to.display()
        ));
    }
    Ok(Exit::Done)
}

const COLUMNS: [Column<'static>; 11] = [
    ("id", Align::Left),
    ("campaign", Align::Left),
    ("run", Align::Left),
    ("row", Align::Right),
    ("address", Align::Left),
    ("class", Align::Left),
    ("reason", Align::Left),
    ("scope", Align::Left),
    ("attempts", Align::Right),
    ("last_reply", Align::Left),
    ("since", Align::Left),
];

fn write_index(path: &Path, letters: &[ListedLetter]) -> Result<(), Failure> {
    let mut list = Listing::to_file(path, Format::Csv(Cells::Inert), &COLUMNS)?;
    for letter in letters {
        list.add(|| letter, || row(letter))?;
    }
    list.finish()
}

fn row(letter: &ListedLetter) -> Row<'_> {
    vec![
        Cow::Borrowed(&letter.id),
        Cow::Borrowed(&letter.campaign),
        Cow::Borrowed(&letter.run),
        shown_row(letter.row).to_string().into(),
        Cow::Borrowed(&letter.address),
        name(letter.class),
        name(letter.reason),
        name(letter.scope),
        letter.attempts.to_string().into(),
        Cow::Borrowed(letter.last_reply.as_deref().unwrap_or_default()),
        Cow::Borrowed(&letter.since),
    ]
}

fn name(value: Option<impl Display>) -> Cow<'static, str> {
    value
        .map(|value| value.to_string())
        .unwrap_or_default()
        .into()
}

/// The id, with `_` for characters that are not safe in a file name.
fn file_name(letter: &ListedLetter) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    let name: String = letter
        .id
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(200)
        .collect();
    let name = name.trim_start_matches('.');
    match letter.round {
        0 => format!("{name}.eml"),
        round => format!("{name}.{round}.eml"),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`: {error}", path.display()))
}
