//! An SMTP server as a relay: opens connections to it and remembers whether it can be trusted with pipelining.

use super::draft::Handover;
use super::handshake::{Ready, Server};
use super::settings::Pipelining;
use super::transaction::{Conversation, Memory};
use super::{End, Feed, Offers, Relay};
use async_trait::async_trait;
use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::Duration;
use tokio::time::Instant;

/// How long one command goes at a time after replies that were none.
const DISTRUST: Duration = Duration::from_secs(10 * 60);

pub struct ServerRelay {
    pub(super) name: String,
    pub(super) server: Server,
    pub(super) pipelining: Pipelining,
    pub(super) most_messages: Option<NonZeroU64>,
    pub(super) distrusted_at: Cell<Option<Instant>>,
}

impl ServerRelay {
    fn may_pipeline(&self) -> bool {
        let is_distrusted = self
            .distrusted_at
            .get()
            .is_some_and(|since| since.elapsed() < DISTRUST);
        self.pipelining == Pipelining::Auto && !is_distrusted
    }
}

#[async_trait(?Send)]
impl Relay for ServerRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn converse(&self, feed: &dyn Feed) -> End {
        let Ready {
            wire, extensions, ..
        } = match self.server.reach().await {
            Ok(ready) => ready,
            Err(end) => return end,
        };
        let is_pipelined = extensions.pipelining && self.may_pipeline();
        // BDAT spares the dots but not a round trip, so it is used where it comes for free.
        let handover = if is_pipelined && extensions.chunking {
            Handover::Chunk
        } else {
            Handover::Dot
        };
        let mut conversation = Conversation {
            wire,
            feed,
            deadlines: self.server.deadlines,
            extensions,
            is_pipelined,
            handover,
            most_messages: self.most_messages,
            memory: Memory::default(),
        };
        let end = conversation.run().await;
        if conversation.memory.is_distrusted {
            self.distrusted_at.set(Some(Instant::now()));
        }
        end
    }

    async fn probe(&self) -> Result<Offers, End> {
        let mut ready = self.server.reach().await?;
        let within = self.server.deadlines.quit;
        if ready.wire.say("QUIT", within).await.is_ok() {
            // What it offers is known; how it parts does not matter.
            let _ = ready.wire.answer(within).await;
        }
        let offered = ready.extensions;
        let offers = Offers {
            greeting: ready.greeting,
            tls: ready.wire.tls_description(),
            authenticated: ready.authenticated,
            size: offered.size_limit_bytes,
            pipelining: offered.pipelining,
            chunking: offered.chunking,
            smtputf8: offered.smtputf8,
            eight_bit_mime: offered.eight_bit_mime,
            auth: offered.auth,
        };
        ready.wire.close(within).await;
        Ok(offers)
    }
}
