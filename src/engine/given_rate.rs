//! A rate that a worker was given by flag is in force while it runs. At its end it publishes the rate of the settings
//! again. A worker that was killed cannot: then another one does, or the next one that starts.

use super::read_model::AccountError;
use super::read_model::campaign_topic::{announce, catch_up};
use super::timestamp::timestamp;
use crate::clock::Clock;
use crate::domain::records::{CampaignRecord, RateInForce};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::rc::Rc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(2);
/// A worker that was not a member so often in a row has ended. On Kafka it takes seconds to become one.
const GONE_AFTER: u32 = 5;

/// The rates that this worker knows, and the one in force.
#[derive(Clone)]
pub struct GivenRate {
    queue: Rc<dyn Queue>,
    clock: Rc<dyn Clock>,
    /// This worker's name.
    worker: String,
    /// What the settings say without flags.
    of_settings: RateInForce,
    /// What this worker was given by flag. It publishes that itself when it starts.
    given: Option<RateInForce>,
    /// It has the rate in force.
    ledger: Ledger,
    /// How often in a row the worker that was given the rate in force was no member.
    missed: u32,
}

impl GivenRate {
    pub fn new(
        queue: Rc<dyn Queue>,
        clock: Rc<dyn Clock>,
        worker: String,
        rates: (RateInForce, Option<RateInForce>),
    ) -> GivenRate {
        let (of_settings, given) = rates;
        GivenRate {
            queue,
            clock,
            worker,
            of_settings,
            given,
            ledger: Ledger::default(),
            missed: 0,
        }
    }

    /// Before this worker joins: ends a rate whose worker was killed, if no other one runs that could do so.
    pub async fn begin(&mut self) -> Result<(), AccountError> {
        self.read().await?;
        if self.given_by().is_some() && self.queue.members().await?.is_empty() {
            return self.publish(self.own()).await;
        }
        Ok(())
    }

    /// Ends a rate whose worker is gone, for as long as the task lives. Failing is no trouble: it looks again.
    pub async fn watch(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "cannot see whether the worker that set the rate still runs");
            }
        }
    }

    /// One look. A worker that was given the same rate takes it over at once. One that was given another rate publishes its
    /// own a little later, and one without any that of the settings after that.
    pub async fn look(&mut self) -> Result<(), AccountError> {
        self.read().await?;
        if !self.is_ended().await? {
            self.missed = 0;
            return Ok(());
        }
        self.missed += 1;
        let numbers = |rate: &RateInForce| (rate.rate, rate.burst);
        let in_force = self.ledger.rate().map(numbers);
        let patience = match &self.given {
            Some(given) if in_force == Some(numbers(given)) => 1,
            Some(_) => GONE_AFTER - 1,
            None => GONE_AFTER,
        };
        match self.missed >= patience {
            true => self.publish(self.own()).await,
            false => Ok(()),
        }
    }

    /// What this worker publishes in place of a rate that has ended.
    fn own(&self) -> RateInForce {
        self.given.as_ref().unwrap_or(&self.of_settings).clone()
    }

    /// After this worker has left: ends the rate that it was given. Workers that still run see to it themselves.
    pub async fn end(&mut self) -> Result<(), AccountError> {
        if self.given.is_none() {
            return Ok(());
        }
        self.read().await?;
        let is_mine = self.given_by() == Some(self.worker.as_str());
        let members = self.queue.members().await?;
        match is_mine && members.iter().all(|member| member.name == self.worker) {
            true => self.publish(self.of_settings.clone()).await,
            false => Ok(()),
        }
    }

    fn given_by(&self) -> Option<&str> {
        self.ledger.rate().and_then(RateInForce::given_to)
    }

    /// The worker that was given the rate in force does not run, or runs again without the flag.
    async fn is_ended(&self) -> Result<bool, AccountError> {
        let Some(by) = self.given_by() else {
            return Ok(false);
        };
        if by == self.worker {
            return Ok(self.given.is_none());
        }
        let members = self.queue.members().await?;
        Ok(members.iter().all(|member| member.name != by))
    }

    async fn publish(&mut self, rate: RateInForce) -> Result<(), AccountError> {
        let at = timestamp(self.clock.now());
        announce(
            self.queue.as_ref(),
            &[CampaignRecord::Rate(RateInForce { at, ..rate })],
        )
        .await
    }

    /// Reads on to the end of the campaign topic.
    async fn read(&mut self) -> Result<(), AccountError> {
        let before = self.ledger.rate().cloned();
        catch_up(self.queue.as_ref(), &mut self.ledger).await?;
        if self.ledger.rate() != before.as_ref() {
            self.missed = 0;
        }
        Ok(())
    }
}
