//! What a breaker hears of a relay that takes a mail and then closes the session, while the journal is busy.

use super::campaign::{self, Plan};
use super::process::Process;
use super::profile::Profile;
use super::world::World;
use async_trait::async_trait;
use mailq::domain::outcome::{Attempt, Reply, Stage};
use mailq::engine::worker::{self, Notice, Observer, Stop, Summary, WorkerError};
use mailq::smtp::{Capabilities, Feed, Relay, SessionEnd};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Takes one mail, answers 421 to the next one's final dot, and takes all others. It answers at once, so the session is
/// over before the journal has seen either answer.
#[derive(Default)]
struct ClosesOnce {
    taken: Cell<u64>,
    has_closed: Cell<bool>,
}

#[async_trait(?Send)]
impl Relay for ClosesOnce {
    fn name(&self) -> &str {
        "relay.example:25"
    }

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        while let Some(outgoing) = feed.next().await {
            if !feed.may_finish(outgoing.ticket) {
                let why = "its claim grew old".to_string();
                feed.done(outgoing.ticket, Attempt::NotSent { why });
                continue;
            }
            if self.taken.get() > 0 && !self.has_closed.replace(true) {
                let (stage, reply) = (Stage::FinalDot, reply(421, "closing"));
                let attempt = Attempt::Rejected {
                    stage,
                    reply: reply.clone(),
                };
                feed.done(outgoing.ticket, attempt);
                return SessionEnd::Failed {
                    stage,
                    why: reply.to_string(),
                    reply: Some(reply),
                };
            }
            self.taken.set(self.taken.get() + 1);
            feed.done(outgoing.ticket, Attempt::Delivered(reply(250, "taken")));
        }
        SessionEnd::Finished
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        Ok(Capabilities::default())
    }
}

fn reply(code: u16, text: &str) -> Reply {
    Reply {
        code,
        enhanced: None,
        text: text.to_string(),
    }
}

#[derive(Default)]
struct Notices(RefCell<Vec<String>>);

impl Observer for Notices {
    fn notice(&self, notice: Notice) {
        if let Notice::Breaker(notice) = notice {
            self.0.borrow_mut().push(notice.to_string());
        }
    }
    fn progress(&self, _: &Summary) {}
}

#[test]
fn a_session_that_is_closed_after_a_mail_does_not_pause_the_relay() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(send());
}

async fn send() {
    let mut world = World::start(1, Profile::Clean).await;
    let queue = world.log.start_process();
    let plan = Plan {
        not_before: None,
        expires_after: None,
        ..world.plans[0].clone()
    };
    campaign::enqueue(&queue, world.log.clock(), &plan).await;
    let relay = Rc::new(ClosesOnce::default());
    let queue = Rc::new(world.log.start_process());
    let mut setup = world.setup(queue);
    for lane in &mut setup.relays {
        (lane.relay, lane.connections) = (relay.clone(), 1);
    }
    let notices = Rc::new(Notices::default());
    let observer = notices.clone();
    world.guests = vec![Process::start(async move {
        match worker::run(setup, Rc::new(Stop::default()), observer).await {
            Ok(_) | Err(WorkerError::CutOff) => {}
            Err(error) => panic!("{error}"),
        }
    })];
    world.drive(Duration::from_secs(60), false).await;
    assert!(relay.has_closed.get());
    assert_eq!(relay.taken.get(), plan.rows - plan.suppressed.len() as u64);
    assert_eq!(notices.0.take(), Vec::<String>::new());
}
