//! `mailq test`: sends one message of a campaign to the operator, through the relay but not the queue.

use super::campaign::Campaign;
use super::{Exit, Failure, Global, check, output, project, relays, terminal};
use crate::config::{Flags, Loaded};
use crate::domain::address::Address;
use crate::domain::outcome::{Attempt, Stage};
use crate::recipients::Options;
use crate::smtp::{Feed, Outgoing, Relay, SessionEnd};
use async_trait::async_trait;
use serde_json::json;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::SystemTime;

/// Send one recipient's message to your own address
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Address to send it to
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub to: String,

    /// Row of the recipients CSV; the first row below the header is 1
    ///
    /// Rows that get no mail count here. In `row` of other commands' JSON they do not.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub row: u64,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let to = Address::parse(&args.to).map_err(|why| {
        Failure::usage(format!("`--to` is `{}`: {why}; nothing was sent", args.to))
            .with_hint("give an address of yours: `--to me@example.com`")
    })?;
    let loaded = global.load(Some(&args.campaign), Flags::default())?;
    let campaign = Campaign::load(&args.campaign, None, &loaded, Options::default())?;
    let mut row = campaign.row(args.row)?;
    // Only the envelope and `To` change. The cells stay those of the recipient, so the text is what they would get.
    row.address = to.clone();
    row.name = None;
    let domain = campaign.composer.message_id_domain();
    let message_id = format!(
        "test-{:016x}{:016x}@{domain}",
        fastrand::u64(..),
        fastrand::u64(..)
    );
    let composed = campaign.composer.compose(&row, &message_id)?;
    let outgoing = Outgoing {
        ticket: 1,
        return_path: campaign.composer.return_path().to_string(),
        recipient: to.as_str().to_string(),
        message_id,
        content: composed.bytes.into(),
    };
    let relay = relays::open_first(&loaded)?;
    warn_if_suppressed(&loaded, &to);
    let sent = project::block_on(async { Ok(send(relay.as_ref(), outgoing.clone()).await) })?;
    print_result(relay.name(), &outgoing, sent, global)
}

/// The message is sent all the same, because it was asked for.
fn warn_if_suppressed(loaded: &Loaded, to: &Address) {
    match check::suppressed(loaded) {
        Ok(is_suppressed) if is_suppressed(to) => terminal::note(format!(
            "warning: `{to}` is on the suppression list: campaigns do not mail it"
        )),
        Ok(_) => {}
        Err(failure) => terminal::note(format!(
            "warning: the suppression list was not looked at: {}",
            failure.what
        )),
    }
}

/// Returns the result of the message, and how the conversation ended.
async fn send(relay: &dyn Relay, outgoing: Outgoing) -> (Option<Attempt>, SessionEnd) {
    let feed = OneMessage {
        waiting: RefCell::new(Some(outgoing)),
        attempt: RefCell::new(None),
    };
    let end = relay.run_session(&feed).await;
    (feed.attempt.into_inner(), end)
}

fn print_result(
    relay: &str,
    outgoing: &Outgoing,
    (attempt, end): (Option<Attempt>, SessionEnd),
    global: &Global,
) -> Result<Exit, Failure> {
    let to = &outgoing.recipient;
    match attempt {
        Some(Attempt::Delivered(reply)) => {
            if global.json {
                output::json(&json!({
                    "relay": relay,
                    "address": to,
                    "message_id": outgoing.message_id,
                    "result": "delivered",
                    "reply": reply.to_string(),
                }))?;
            } else {
                output::line(reply.to_string())?;
                global.say(format!("{relay} accepted the message for {to}"));
            }
            Ok(Exit::Done)
        }
        Some(Attempt::Rejected { stage, reply }) => Err(rejected(relay, to, stage, reply)),
        Some(Attempt::Unanswered { why, .. }) => Err(Failure::new(
            Exit::NeedsAttention,
            format!("relay `{relay}` did not answer the message for `{to}`: {why}"),
        )
        .with_hint("it may have arrived: check the mailbox before you send it again")),
        Some(Attempt::BrokenOff { .. } | Attempt::NotSent { .. }) | None => {
            Err(relays::failure(relay, &end))
        }
    }
}

fn rejected(relay: &str, to: &str, stage: Stage, reply: crate::domain::outcome::Reply) -> Failure {
    let what = format!(
        "relay `{relay}` refused the message for `{to}` at {}: {reply}",
        relays::stage_name(stage)
    );
    let explain = format!("`mailq bounce explain \"{reply}\"` explains it");
    let exit = match reply.code {
        400..500 => Exit::TryLater,
        _ => Exit::NeedsAttention,
    };
    Failure::new(exit, what).with_hint(explain)
}

/// A feed of a single message.
struct OneMessage {
    waiting: RefCell<Option<Outgoing>>,
    attempt: RefCell<Option<Attempt>>,
}

#[async_trait(?Send)]
impl Feed for OneMessage {
    async fn next(&self) -> Option<Outgoing> {
        self.waiting.take()
    }

    fn try_next(&self) -> Option<Outgoing> {
        None
    }

    fn may_finish(&self, _ticket: u64) -> bool {
        true
    }

    fn begun(&self, _ticket: u64, _at: SystemTime) {}

    fn done(&self, _ticket: u64, attempt: Attempt) {
        self.attempt.replace(Some(attempt));
    }
}
