//! Whom earlier runs of a campaign have: everybody to whom one delivered, may have delivered, or still has to deliver.
//! `--only-new` and `--replace` leave them out.

use super::error::EnqueueError;
use crate::domain::ids::{RunKey, shown_row};
use crate::domain::mailbox_key::mailbox_key;
use crate::engine::account::KeptEvents;
use crate::engine::account::row::{enqueued, origins};
use crate::engine::read_model::collect::{collect_named, collect_places};
use crate::engine::read_model::event::read_events;
use crate::engine::read_model::fact::{Detail, EventFact, Fact};
use crate::engine::read_model::facts::{Facts, Subject};
use crate::engine::read_model::history::{History, RecipientState};
use crate::engine::read_model::places::Scope;
use crate::engine::read_model::{AccountError, View};
use crate::protocol::RunFacts;
use crate::queue::Queue;
use crate::recipients::AddressSet;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// How often it is tried while workers move what is being read.
const ATTEMPTS: u32 = 3;

/// Which runs are asked for.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub campaign: &'a str,
    /// The run that is being enqueued.
    pub own: RunKey,
    /// As if what they have pending was cancelled already.
    pub as_cancelled: bool,
    pub now: SystemTime,
    /// For temporary files; nothing stays in it.
    pub folder: &'a Path,
}

/// The answer, and the runs that it is about.
pub struct Earlier {
    pub addresses: AddressSet,
    pub runs: BTreeSet<RunKey>,
}

/// Reads events and queue. Memory: at most 24 bytes for each address.
pub async fn earlier(queue: &dyn Queue, question: Question<'_>) -> Result<Earlier, EnqueueError> {
    let mut attempt = 1;
    loop {
        match once(queue, question).await {
            Err(EnqueueError::Earlier { .. }) if attempt < ATTEMPTS => attempt += 1,
            done => return done,
        }
    }
}

async fn once(queue: &dyn Queue, question: Question<'_>) -> Result<Earlier, EnqueueError> {
    let view = View::read(queue, true).await?;
    let runs = sealed(&view, question);
    require_events(queue, &view, &runs, question).await?;
    let is_cancelled = |run: &RunFacts| run.cancel.is_some() || question.as_cancelled;
    let subjects = runs.iter().map(|run| Subject {
        key: run.manifest.key,
        name: run.manifest.id.to_string(),
        rows: enqueued(run),
        is_cancelled: is_cancelled(run),
    });
    let mut facts = Facts::new(subjects.collect(), question.folder);
    let live = runs.iter().filter(|run| !is_cancelled(run));
    let live: Vec<RunKey> = live.map(|run| run.manifest.key).collect();
    let scope = Scope {
        only: Some(&live),
        with_lines: true,
        with_cancelled: false,
        now: question.now,
    };
    // Events after the queue: what leaves the queue in between has its events by then.
    collect_places(&mut facts, queue, &view, scope).await?;
    collect_events(&mut facts, queue).await?;
    collect_named(&mut facts, &view.ledger)?;
    let addresses = addresses(facts)?;
    let runs = runs.iter().map(|run| run.manifest.key).collect();
    Ok(Earlier { addresses, runs })
}

/// Errors: whom one of the runs has is not known any more.
async fn require_events(
    queue: &dyn Queue,
    view: &View,
    runs: &[&RunFacts],
    question: Question<'_>,
) -> Result<(), EnqueueError> {
    let kept = KeptEvents::read(queue).await?;
    for run in runs {
        if kept.may_lack(view, run, question.now)? {
            return Err(EnqueueError::TooOld {
                campaign: question.campaign.to_string(),
                run: run.manifest.id.run.clone(),
            });
        }
    }
    Ok(())
}

/// Runs of the campaign that workers may have sent, or may still send.
fn sealed<'v>(view: &'v View, question: Question<'_>) -> Vec<&'v RunFacts> {
    let mut runs = origins(view, Some(question.campaign));
    runs.retain(|run| run.seal.is_some() && run.manifest.key != question.own);
    runs
}

async fn collect_events(facts: &mut Facts, queue: &dyn Queue) -> Result<(), AccountError> {
    let partitions = 0..queue.partitions();
    let progress = &mut |_, _| ();
    read_events(queue, partitions, progress, &mut |_, _, event| {
        let event = match event {
            Ok(event) => event,
            Err(what) => {
                facts.findings.add(what);
                return ControlFlow::Continue(());
            }
        };
        let fact = Fact::Event(EventFact {
            rank: event.rank,
            kind: event.kind,
            is_final: event.is_final,
            is_earlier: false,
            is_worker_lost: false,
            detail: Detail::Text {
                address: &event.address,
                reply: None,
                when: "",
            },
        });
        facts.add(event.run, event.row, &fact)
    })
    .await?;
    facts.check()
}

/// Errors: what became of a recipient cannot be read, so it is not known whom to leave out.
fn addresses(facts: Facts) -> Result<AddressSet, EnqueueError> {
    let mut addresses = AddressSet::new();
    let mut unknown = None;
    let (histories, findings) = facts.finish()?;
    histories.each(&mut |subject, history| {
        if !is_left_out(subject, history) {
            return ControlFlow::Continue(());
        }
        match history.address() {
            "" => {
                let row = shown_row(history.key.row());
                unknown = Some(format!("nothing is known of row {row} of {}", subject.name));
                return ControlFlow::Break(());
            }
            address => addresses.insert(&mailbox_key(address)),
        };
        ControlFlow::Continue(())
    })?;
    match findings.into_lines().into_iter().next().or(unknown) {
        Some(what) => Err(EnqueueError::Earlier { what }),
        None => Ok(addresses),
    }
}

fn is_left_out(subject: &Subject, history: &History) -> bool {
    let is_over = || subject.is_cancelled || matches!(history.state(), RecipientState::Ended(_));
    history.may_be_delivered() || !is_over()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventType;
    use crate::engine::read_model::fact::Rank;
    use crate::engine::read_model::places::PlaceKind;

    fn event(kind: EventType, is_final: bool, hop: u32) -> Fact<'static> {
        Fact::Event(EventFact {
            rank: Rank {
                hop,
                ..Rank::default()
            },
            kind,
            is_final,
            is_earlier: false,
            is_worker_lost: false,
            detail: Detail::None,
        })
    }

    #[test]
    fn left_out_is_who_got_it_may_have_got_it_or_will_get_it() {
        use EventType::{Bounced, Dead, Deferred, Delivered, InDoubt};
        let queued = Fact::Queued {
            kind: PlaceKind::Retrying,
            is_unread: false,
            address: "anna@example.org",
        };
        let replayed = Fact::Named {
            round: 0,
            in_doubt: false,
            replay: Some(RunKey(9)),
        };
        // Facts; left out while the run goes on, and once it is cancelled.
        for (facts, live, cancelled) in [
            (vec![], true, false),
            (vec![queued], true, false),
            (vec![event(Deferred, false, 0), queued], true, false),
            (vec![event(Delivered, true, 0)], true, true),
            (vec![event(InDoubt, true, 0)], true, true),
            (vec![event(InDoubt, false, 0), queued], true, true),
            // The relay may have taken the message before the receiver refused its copy.
            (
                vec![event(InDoubt, false, 0), event(Bounced, true, 1)],
                true,
                true,
            ),
            (vec![event(Bounced, true, 0)], false, false),
            (vec![event(Dead, true, 0)], false, false),
            (vec![event(Dead, true, 0), replayed], true, false),
        ] {
            let history = History::of(&facts);
            for (is_cancelled, expected) in [(false, live), (true, cancelled)] {
                let subject = Subject {
                    key: RunKey(1),
                    name: "spring/1".to_string(),
                    rows: 1,
                    is_cancelled,
                };
                assert_eq!(
                    is_left_out(&subject, &history),
                    expected,
                    "{facts:?} {is_cancelled}"
                );
            }
        }
    }
}
