//! What breakers do with relays that misbehave: one closes a session after a mail, one defers everything.

use super::campaign::{self, Plan};
use super::process::Process;
use super::profile::Profile;
use super::world::World;
use async_trait::async_trait;
use mailq::domain::outcome::{Attempt, Reply, Stage};
use mailq::domain::rate::Rate;
use mailq::engine::worker::{self, Notice, Observer, Stop, Summary, WorkerError};
use mailq::engine::worker::{RelayLane, Setup};
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

/// Takes every mail, or defers every recipient, after ten milliseconds.
struct Answers {
    name: &'static str,
    is_kind: bool,
    asked: Cell<u64>,
}

impl Answers {
    fn new(name: &'static str, is_kind: bool) -> Answers {
        Answers {
            name,
            is_kind,
            asked: Cell::new(0),
        }
    }
}

#[async_trait(?Send)]
impl Relay for Answers {
    fn name(&self) -> &str {
        self.name
    }

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        while let Some(outgoing) = feed.next().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.asked.set(self.asked.get() + 1);
            let attempt = match self.is_kind && feed.may_finish(outgoing.ticket) {
                true => Attempt::Delivered(reply(250, "taken")),
                false => Attempt::Rejected {
                    stage: Stage::RcptTo,
                    reply: reply(451, "not now"),
                },
            };
            feed.done(outgoing.ticket, attempt);
        }
        SessionEnd::Finished
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        Ok(Capabilities::default())
    }
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
    let relay = Rc::new(ClosesOnce::default());
    let (sent, notices) = send(vec![lane(relay.clone(), 1)], None);
    assert!(relay.has_closed.get());
    assert_eq!(relay.taken.get(), sent);
    assert_eq!(notices, Vec::<String>::new());
}

#[test]
fn a_relay_that_defers_everything_leaves_the_mail_to_the_other() {
    let moody = Rc::new(Answers::new("moody", false));
    let kind = Rc::new(Answers::new("kind", true));
    let lanes = vec![lane(moody.clone(), 3), lane(kind.clone(), 3)];
    let (sent, notices) = send(lanes, Some(600));
    assert_eq!(kind.asked.get(), sent);
    // Three sites: some thirty deferrals each, what was with the relay then, and probes.
    assert!(moody.asked.get() < 150, "{}", moody.asked.get());
    assert_eq!(notices.len(), 3, "{notices:?}");
    let of_moody = |notice: &String| notice.contains("via relay `moody` is paused and probed");
    assert!(notices.iter().all(of_moody), "{notices:?}");
}

/// Sends a campaign within two minutes of virtual time. Returns how many mails it has, and what the operator was told.
fn send(lanes: Vec<RelayLane>, rows: Option<u64>) -> (u64, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::start(1, Profile::Clean).await;
        let queue = world.log.start_process();
        let mut plan = Plan {
            not_before: None,
            expires_after: None,
            ..world.plans[0].clone()
        };
        if let Some(rows) = rows {
            plan.rows = rows;
            plan.suppressed.clear();
            plan.write_list();
        }
        campaign::enqueue(&queue, world.log.clock(), &plan).await;
        let queue = Rc::new(world.log.start_process());
        let setup = Setup {
            relays: lanes,
            max_uncommitted: 20,
            ..world.setup(queue)
        };
        let notices = Rc::new(Notices::default());
        let observer = notices.clone();
        world.guests = vec![Process::start(async move {
            match worker::run(setup, Rc::new(Stop::default()), observer).await {
                Ok(_) | Err(WorkerError::CutOff) => {}
                Err(error) => panic!("{error}"),
            }
        })];
        world.drive(Duration::from_secs(120), false).await;
        (plan.rows - plan.suppressed.len() as u64, notices.0.take())
    })
}

fn lane(relay: Rc<dyn Relay>, connections: usize) -> RelayLane {
    RelayLane {
        relay,
        connections,
        most_connections: connections,
        weight: 1,
        rate: Rate::Unlimited,
        quota: None,
    }
}
