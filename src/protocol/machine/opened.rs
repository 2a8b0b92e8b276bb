//! The contents of an open chunk: its messages that are not done, and where they go.

use crate::domain::chunk::{Chunk, ChunkHead, Message};
use crate::domain::site::Sites;
use crate::protocol::positions::Positions;
use crate::protocol::progress::OpenChunk;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Name of a receiving provider.
pub type Site = Rc<str>;

/// Memory of a message beside its own bytes, about.
const MESSAGE_OVERHEAD: usize = 400;

#[derive(Debug)]
pub(super) struct Opened {
    pub head: Rc<ChunkHead>,
    /// Messages in the chunk, done ones included.
    len: usize,
    /// Those that are not done and that are held in memory.
    messages: BTreeMap<usize, Message>,
    /// Not done, and dropped from memory to be read again when they may go.
    unloaded: Positions,
    /// Which messages go to which site.
    sites: Vec<(Site, Positions)>,
    /// Their events are durable, and they wait for a move to be decided.
    pub leaving: Positions,
    /// Lines without bytes: suppressed at enqueue.
    pub suppressed: Positions,
    pub appended_at: SystemTime,
    pub due: Option<Due>,
    held_bytes: usize,
}

/// When the messages of a retry tier's chunk are due: they are spread over this time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// Where its messages begin in the spread of the tier.
    pub start: f64,
    pub from: SystemTime,
    pub width: Duration,
}

impl Due {
    pub fn at(&self, position: usize) -> SystemTime {
        // Steps of the golden ratio spread any number of messages evenly, in one chunk or in many small ones.
        let share = ((self.start + position as f64) * 0.618_033_988_75).fract();
        self.from + self.width.mul_f64(share)
    }
}

impl Opened {
    pub fn new(
        chunk: Rc<Chunk>,
        done: &Positions,
        (appended_at, due): (SystemTime, Option<Due>),
        groups: &Sites,
    ) -> Opened {
        let Chunk { head, messages } = Rc::unwrap_or_clone(chunk);
        let mut sites: BTreeMap<&str, Positions> = BTreeMap::new();
        let mut suppressed = Positions::default();
        for (position, message) in messages.iter().enumerate() {
            let site = groups.of_address(&message.line.address);
            sites.entry(site).or_default().add(position);
            if message.line.suppressed.is_some() {
                suppressed.add(position);
            }
        }
        let sites = sites.into_iter();
        let sites = sites.map(|(site, positions)| (Site::from(site), positions));
        let mut opened = Opened {
            head: Rc::new(head),
            len: messages.len(),
            sites: sites.collect(),
            messages: BTreeMap::new(),
            unloaded: Positions::first(messages.len()).without(done),
            leaving: Positions::default(),
            suppressed,
            appended_at,
            due,
            held_bytes: 0,
        };
        opened.hold(messages);
        opened
    }

    /// Takes the contents again, for the messages that were unloaded.
    pub fn load(&mut self, chunk: Rc<Chunk>) {
        self.hold(Rc::unwrap_or_clone(chunk).messages);
    }

    fn hold(&mut self, messages: Vec<Message>) {
        let messages = messages.into_iter().enumerate();
        for (position, message) in messages.filter(|(position, _)| self.unloaded.has(*position)) {
            self.held_bytes += held_bytes(&message);
            self.messages.insert(position, message);
        }
        self.unloaded = Positions::default();
    }

    /// Drops these messages from memory.
    pub fn unload(&mut self, positions: &Positions) {
        for position in positions.iter() {
            if self.drop_message(position) {
                self.unloaded.add(position);
            }
        }
    }

    /// The message is done, so nobody asks for it again.
    pub fn done(&mut self, position: usize) {
        self.drop_message(position);
        self.unloaded.remove(position);
    }

    fn drop_message(&mut self, position: usize) -> bool {
        let dropped = self.messages.remove(&position);
        self.held_bytes -= dropped.as_ref().map_or(0, held_bytes);
        dropped.is_some()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub fn unloaded(&self) -> &Positions {
        &self.unloaded
    }

    pub fn message(&self, position: usize) -> Option<&Message> {
        self.messages.get(&position)
    }

    /// The messages at these positions that are held.
    pub fn messages<'a>(
        &'a self,
        positions: &Positions,
    ) -> impl Iterator<Item = (usize, &'a Message)> {
        let held = |position| Some((position, self.messages.get(&position)?));
        positions.iter().filter_map(held)
    }

    /// Messages that are not claimed, done, moving or waiting for a move.
    pub fn free(&self, open: &OpenChunk) -> Positions {
        let busy = open
            .claimed
            .with(&open.done)
            .with(&open.moving)
            .with(&self.leaving);
        Positions::first(self.len).without(&busy)
    }

    /// Of these messages those of each site.
    pub fn by_site(&self, positions: &Positions) -> impl Iterator<Item = (&Site, Positions)> {
        let sites = self.sites.iter();
        let sites = sites.map(|(site, all)| (site, all.and(positions)));
        sites.filter(|(_, positions)| !positions.is_empty())
    }

    /// When a message is due. `None`: at once.
    pub fn due_at(&self, position: usize) -> Option<SystemTime> {
        self.due.map(|due| due.at(position))
    }
}

fn held_bytes(message: &Message) -> usize {
    message.content.own().len() + MESSAGE_OVERHEAD
}
