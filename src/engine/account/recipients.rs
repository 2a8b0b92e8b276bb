//! What became of each recipient of a run, in row order: from the events, what is queued, and which letters were sent
//! again.

use crate::domain::ids::{Row, RunKey, serialize_shown_row};
use crate::engine::account::kept::KeptEvents;
use crate::engine::account::row::enqueued;
use crate::engine::read_model::collect::{collect_named, collect_places};
use crate::engine::read_model::event::{Progress, read_events};
use crate::engine::read_model::fact::{Detail, EventFact, Fact};
use crate::engine::read_model::facts::{Facts, Subject};
use crate::engine::read_model::history::{History, RecipientState};
use crate::engine::read_model::places::{PlaceKind, Scope};
use crate::engine::read_model::{AccountError, View};
use crate::protocol::ledger::RunState;
use crate::queue::Queue;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientRow {
    #[serde(serialize_with = "serialize_shown_row")]
    pub row: Row,
    /// Empty where a cancelled run's chunk was dropped unopened, and where nothing is known any more.
    pub address: String,
    /// `pending`, `retrying`, [`UNKNOWN`], or the name of a [`crate::domain::counters::Final`].
    pub state: &'static str,
    /// The last one.
    pub reply: Option<String>,
    /// Of the last event, RFC 3339.
    pub when: Option<String>,
    pub attempts: u32,
}

/// The state of a recipient whose events were deleted by their age.
pub const UNKNOWN: &str = "unknown";

/// What was found beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What could not be read, a line each with its place: what it says is missing in the rows.
    pub unreadable: Vec<String>,
    /// Recipients in the state [`UNKNOWN`], asked for or not, and all.
    pub unknown: u64,
    pub all: u64,
}

/// Which run, and where temporary files may be.
#[derive(Debug, Clone, Copy)]
pub struct Recipients<'a> {
    pub run: RunKey,
    /// Empty: all.
    pub states: &'a [String],
    pub now: SystemTime,
    /// A folder for temporary files, about 120 bytes a recipient; nothing stays in it.
    pub folder: &'a Path,
}

/// Gives every recipient in the wanted states, by row, until `out` breaks off. `progress`: records read, of about how
/// many.
pub async fn recipients(
    queue: &dyn Queue,
    asked: Recipients<'_>,
    progress: Progress<'_>,
    out: &mut dyn FnMut(RecipientRow) -> ControlFlow<()>,
) -> Result<Told, AccountError> {
    let view = View::read(queue, true).await?;
    let run = view.ledger.run(asked.run);
    let run = run.ok_or(AccountError::NoManifest { run: asked.run })?;
    let subject = Subject {
        key: asked.run,
        name: run.manifest.id.to_string(),
        rows: enqueued(run),
        is_cancelled: view.ledger.run_state(asked.run, asked.now) == RunState::Cancelled,
    };
    let mut facts = Facts::new(vec![subject], asked.folder);
    let scope = Scope {
        only: Some(&[asked.run]),
        with_lines: true,
        with_cancelled: true,
        now: asked.now,
    };
    collect_places(&mut facts, queue, &view, scope).await?;
    collect_events(&mut facts, queue, progress).await?;
    collect_named(&mut facts, &view.ledger)?;
    // After the events were read, because some may be deleted meanwhile.
    let lacks_events = KeptEvents::read(queue)
        .await?
        .may_lack(&view, run, asked.now)?;
    let (histories, findings) = facts.finish()?;
    let mut told = Told::default();
    histories.each(&mut |subject, history| {
        let state = state(subject, history, lacks_events);
        told.all += 1;
        told.unknown += u64::from(state == UNKNOWN);
        match asked.states.is_empty() || asked.states.iter().any(|asked| asked == state) {
            true => out(row(history, state)),
            false => ControlFlow::Continue(()),
        }
    })?;
    told.unreadable = findings.into_lines();
    Ok(told)
}

async fn collect_events(
    facts: &mut Facts,
    queue: &dyn Queue,
    progress: Progress<'_>,
) -> Result<(), AccountError> {
    let partitions = 0..queue.partitions();
    read_events(
        queue,
        partitions,
        progress,
        &mut |_, _, event| match event {
            Ok(event) => {
                let fact = Fact::Event(EventFact {
                    rank: event.rank,
                    kind: event.kind,
                    is_final: event.is_final,
                    is_earlier: false,
                    is_worker_lost: false,
                    detail: Detail::Text {
                        address: &event.address,
                        reply: event.reply.as_deref(),
                        when: &event.when,
                    },
                });
                facts.add(event.run, event.row, &fact)
            }
            Err(what) => {
                facts.findings.add(what);
                ControlFlow::Continue(())
            }
        },
    )
    .await?;
    facts.check()
}

/// Of a cancelled run what has not ended is cancelled at once; of others what cannot be found is called pending, and
/// `verify` says what is wrong.
fn state(subject: &Subject, history: &History, lacks_events: bool) -> &'static str {
    match history.state() {
        RecipientState::Ended(end) => end.name(),
        RecipientState::Replayed | RecipientState::Unknown if lacks_events => UNKNOWN,
        _ if subject.is_cancelled => "cancelled",
        RecipientState::Queued(PlaceKind::Retrying) => "retrying",
        RecipientState::Queued(PlaceKind::Pending)
        | RecipientState::Replayed
        | RecipientState::Unknown => "pending",
    }
}

fn row(history: &History, state: &'static str) -> RecipientRow {
    let (reply, when) = history.last_reply();
    RecipientRow {
        row: history.key.row(),
        address: history.address().to_string(),
        state,
        reply: reply.map(str::to_string),
        when: when.map(str::to_string),
        attempts: u32::try_from(history.attempts()).unwrap_or(u32::MAX),
    }
}
