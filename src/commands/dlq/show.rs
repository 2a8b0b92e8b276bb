//! `mailq dlq show`: the history of a message, and the message.

use super::filter::bare;
use crate::commands::project::OpenProject;
use crate::commands::text::{counted, plain};
use crate::commands::time::local;
use crate::commands::{Exit, Failure, Global, output};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::shown_row;
use crate::engine::letters::{self, ListedLetter, Shown};
use serde_json::json;

pub async fn run(id: &str, global: &Global, project: &OpenProject) -> Result<Exit, Failure> {
    let shown = letters::show(project.queue.as_ref(), bare(id)).await?;
    if global.json {
        output::json(&document(&shown))?;
        return Ok(Exit::Done);
    }
    let mut lines = about(&shown.letter);
    lines.push(String::new());
    lines.extend(shown.history.iter().map(history_line));
    lines.push(String::new());
    let mut text = lines.join("\n").into_bytes();
    text.extend_from_slice(b"\n");
    text.extend_from_slice(&shown.message.content.to_vec());
    output::text(&text)?;
    Ok(Exit::Done)
}

fn document(shown: &Shown) -> serde_json::Value {
    let line = &shown.message.line;
    json!({
        "letter": shown.letter,
        "history": shown.history.iter().cloned().map(Event::shown).collect::<Vec<_>>(),
        "message": {
            "address": line.address,
            "return_path": line.return_path,
            "line": line.line,
            "content": String::from_utf8_lossy(&shown.message.content.to_vec()),
        },
    })
}

fn about(letter: &ListedLetter) -> Vec<String> {
    let run = format!(
        "{}/{}, row {}",
        plain(&letter.campaign, 80),
        plain(&letter.run, 80),
        shown_row(letter.row)
    );
    let since = local(&letter.since);
    let mut about = vec![
        ("id", plain(&letter.id, 1_000)),
        ("address", plain(&letter.address, 320)),
        ("campaign", run),
        (
            "since",
            format!(
                "{since}, after {}",
                counted(letter.attempts.into(), "attempt")
            ),
        ),
    ];
    let known = [
        letter
            .in_doubt
            .then(|| "in doubt: the relay may have accepted it".to_string()),
        letter.reason.map(|reason| reason.to_string()),
        letter.class.map(|class| class.to_string()),
        letter.scope.map(|scope| format!("scope {scope}")),
    ];
    let why: Vec<String> = known.into_iter().flatten().collect();
    if !why.is_empty() {
        about.push(("why", why.join(", ")));
    }
    output::fields(&about)
}

/// `2026-11-21 09:14:05  deferred   smtp.example.com  451 4.7.1 later`.
fn history_line(event: &Event) -> String {
    let payload = &event.payload;
    let reason = payload.reason.map(|reason| format!(" ({reason})"));
    let words = match (&payload.reply, reason) {
        (Some(reply), _) => plain(reply, 2_000),
        (None, Some(reason)) => format!("no reply{reason}"),
        (None, None) => "no reply".to_string(),
    };
    let relay = payload.relay.as_deref().unwrap_or("-");
    let again = match event.metadata.round {
        0 => String::new(),
        round => format!("replay {round}: "),
    };
    format!(
        "{}  {:<10} {}  {again}{words}",
        local(&event.header.timestamp),
        name(event.header.event_type),
        plain(relay, 120)
    )
}

fn name(kind: EventType) -> &'static str {
    kind.end().map_or("deferred", |end| end.name())
}
