//! What the relay has seen: every connection, every transaction with the time its MAIL FROM arrived, and for each
//! recipient how often it was tried and taken, and whether its Message-ID stayed the same.

use std::time::Instant;

#[derive(Debug)]
pub struct Ledger {
    /// By gate.
    pub connections: Vec<u64>,
    pub transactions: Vec<Transaction>,
    /// By the number in the address.
    pub recipients: Vec<Recipient>,
    /// Messages taken, of all recipients.
    pub accepted: u64,
    /// Times an answer ended a connection or made it useless: 421, hang-up, junk.
    pub broken: u64,
    /// Addresses that no list held.
    pub strangers: u64,
    /// When the last message was taken.
    pub last_accepted_at: Option<Instant>,
}

/// One MAIL FROM.
#[derive(Debug, Clone, Copy)]
pub struct Transaction {
    pub begun_at: Instant,
    pub gate: usize,
    /// `None`: the connection ended before RCPT TO.
    pub recipient: Option<u32>,
    /// When the message was taken.
    pub accepted_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Recipient {
    pub attempts: u32,
    pub accepted: u32,
    /// Hash of the first Message-ID.
    message_id: Option<u64>,
    pub message_id_changed: bool,
}

impl Ledger {
    pub fn new(population: u32, gates: usize) -> Ledger {
        Ledger {
            connections: vec![0; gates],
            transactions: Vec::new(),
            recipients: vec![Recipient::default(); population as usize],
            accepted: 0,
            broken: 0,
            strangers: 0,
            last_accepted_at: None,
        }
    }

    /// Returns the connection's number, counted over all gates.
    pub fn connected(&mut self, gate: usize) -> u64 {
        self.connections[gate] += 1;
        self.connections.iter().sum()
    }

    /// Returns the transaction's place.
    pub fn mail_from(&mut self, gate: usize) -> usize {
        self.transactions.push(Transaction {
            begun_at: Instant::now(),
            gate,
            recipient: None,
            accepted_at: None,
        });
        self.transactions.len() - 1
    }

    /// Returns the attempts that the recipient had before.
    pub fn rcpt_to(&mut self, transaction: usize, recipient: u32) -> u32 {
        self.transactions[transaction].recipient = Some(recipient);
        let seen = &mut self.recipients[recipient as usize];
        seen.attempts += 1;
        seen.attempts - 1
    }

    pub fn accept(&mut self, transaction: usize) {
        let now = Instant::now();
        self.transactions[transaction].accepted_at = Some(now);
        self.last_accepted_at = Some(now);
        self.accepted += 1;
        if let Some(recipient) = self.transactions[transaction].recipient {
            self.recipients[recipient as usize].accepted += 1;
        }
    }

    /// `message_id`: a hash of it.
    pub fn content(&mut self, recipient: u32, message_id: u64) {
        let seen = &mut self.recipients[recipient as usize];
        let first = *seen.message_id.get_or_insert(message_id);
        seen.message_id_changed |= first != message_id;
    }

    /// Recipients that were taken at least once.
    pub fn reached(&self) -> u64 {
        let reached = self.recipients.iter().filter(|r| r.accepted > 0);
        reached.count() as u64
    }

    pub fn population(&self) -> u32 {
        u32::try_from(self.recipients.len()).unwrap_or(u32::MAX)
    }

    /// Recipients that were not taken yet.
    pub fn left(&self) -> u64 {
        self.recipients.len() as u64 - self.reached()
    }

    /// Messages beyond the first of each recipient.
    pub fn duplicates(&self) -> u64 {
        let extra = |r: &Recipient| u64::from(r.accepted.saturating_sub(1));
        self.recipients.iter().map(extra).sum()
    }

    pub fn changed_message_ids(&self) -> u64 {
        let changed = self.recipients.iter().filter(|r| r.message_id_changed);
        changed.count() as u64
    }

    /// Times at which MAIL FROM arrived, in order.
    pub fn begun_at(&self) -> Vec<Instant> {
        let mut times: Vec<Instant> = self.transactions.iter().map(|t| t.begun_at).collect();
        times.sort();
        times
    }
}
