//! Who owns which partition: send and retry partitions one by one, each of any member's. Given, asked for, taken.

use super::history::EndedOwnership;
use super::members::{MemberId, Members, ProcessId};
use super::faults::Dice;
use mailq::domain::topic::TopicPartition;
use mailq::queue::{Ownership, Token};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
struct Holder {
    member: MemberId,
    token: Token,
    /// Asked to give it up.
    losing: bool,
}

#[derive(Debug, Default)]
struct Seat {
    holder: Option<Holder>,
    /// Not given to anybody before.
    vacant_until: Duration,
}

#[derive(Debug)]
pub(super) struct Seats {
    pub members: Members,
    seats: BTreeMap<TopicPartition, Seat>,
    last_token: Token,
    pub ended: Vec<EndedOwnership>,
}

impl Seats {
    pub fn new(lease: Duration) -> Seats {
        Seats {
            members: Members::new(lease),
            seats: BTreeMap::new(),
            last_token: 0,
            ended: Vec::new(),
        }
    }

    pub fn add(&mut self, at: TopicPartition) {
        self.seats.entry(at).or_default();
    }

    /// The process of the member that owns a partition under this token.
    pub fn owner(&self, at: TopicPartition, token: Token) -> Option<ProcessId> {
        let holder = self.seats.get(&at)?.holder?;
        let member = (holder.token == token).then_some(holder.member)?;
        Some(self.members.process_of(member).unwrap_or_default())
    }

    pub fn owned_by(&self, member: MemberId) -> Vec<(TopicPartition, Token)> {
        self.held()
            .filter(|(_, holder)| holder.member == member)
            .map(|(at, holder)| (at, holder.token))
            .collect()
    }

    fn held(&self) -> impl Iterator<Item = (TopicPartition, Holder)> {
        let seats = self.seats.iter();
        seats.filter_map(|(at, seat)| seat.holder.map(|holder| (*at, holder)))
    }

    /// Nothing happens if the token is not the owner's any more.
    pub fn release(&mut self, at: TopicPartition, token: Token, now: Duration, dice: &mut Dice) {
        if let Some(process) = self.owner(at, token)
            && let Some(seat) = self.seats.get_mut(&at)
        {
            seat.holder = None;
            seat.vacant_until = now + dice.up_to(dice.faults.vacancy);
            self.ended.push(EndedOwnership {
                process,
                at,
                token,
                ended_at: now,
            });
        }
    }

    /// Takes a partition from its owner, who learns of it later.
    pub fn take(&mut self, at: TopicPartition, token: Token, now: Duration, dice: &mut Dice) {
        let holder = self.seats.get(&at).and_then(|seat| seat.holder);
        if let Some(holder) = holder.filter(|holder| holder.token == token) {
            self.release(at, token, now, dice);
            let heard_at = now + dice.latency();
            let lost = Ownership::Lost { at, token };
            self.members.tell(holder.member, heard_at, lost);
        }
    }

    pub fn take_all(&mut self, member: MemberId, now: Duration, dice: &mut Dice) {
        for (at, token) in self.owned_by(member) {
            self.take(at, token, now, dice);
        }
    }

    pub fn take_all_of_process(&mut self, process: ProcessId, now: Duration, dice: &mut Dice) {
        for member in self.members.of_process(process) {
            self.take_all(member, now, dice);
        }
    }

    /// Leases that ended by `until` end, each at its own instant.
    pub fn expire_until(&mut self, until: Duration, dice: &mut Dice) {
        while let Some((ended_at, member)) = self.members.expire_next(until) {
            self.take_all(member, ended_at, dice);
        }
    }

    /// Gives vacant partitions to members that run: fairly, or to anybody.
    pub fn give_vacant(&mut self, now: Duration, fairly: bool, dice: &mut Dice) {
        let running = self.members.running();
        let vacant: Vec<TopicPartition> = self
            .seats
            .iter()
            .filter(|(_, seat)| seat.holder.is_none() && seat.vacant_until <= now)
            .map(|(at, _)| *at)
            .collect();
        for at in vacant {
            let member = if fairly {
                let shares = self.shares(&running);
                let least = shares.iter().min_by_key(|(id, count)| (**count, **id));
                least.map(|(id, _)| *id)
            } else {
                dice.pick(&running)
            };
            if let Some(member) = member {
                self.give(at, member, now, dice);
            }
        }
    }

    fn give(&mut self, at: TopicPartition, member: MemberId, now: Duration, dice: &mut Dice) {
        self.last_token += 1;
        let token = self.last_token;
        let holder = Holder {
            member,
            token,
            losing: false,
        };
        self.seats.entry(at).or_default().holder = Some(holder);
        let heard_at = now + dice.latency();
        let gained = Ownership::Gained { at, token };
        self.members.tell(member, heard_at, gained);
    }

    /// How many partitions each keeps, those that it is asked for not counted.
    fn shares(&self, members: &[MemberId]) -> BTreeMap<MemberId, usize> {
        let mut shares: BTreeMap<MemberId, usize> = members.iter().map(|id| (*id, 0)).collect();
        for (_, holder) in self.held().filter(|(_, holder)| !holder.losing) {
            if let Some(count) = shares.get_mut(&holder.member) {
                *count += 1;
            }
        }
        shares
    }

    /// Asks those who hold more than their share for the rest.
    pub fn ask_for_fair_shares(&mut self, now: Duration, dice: &mut Dice) {
        let running = self.members.running();
        let Some(most) = self.seats.len().checked_div(running.len()) else {
            return;
        };
        let mut one_more = self.seats.len() % running.len();
        for (member, count) in self.shares(&running) {
            let keeps_one_more = count > most && one_more > 0;
            one_more -= usize::from(keeps_one_more);
            let surplus = count.saturating_sub(most + usize::from(keeps_one_more));
            let asked: Vec<TopicPartition> = self
                .held()
                .filter(|(_, holder)| holder.member == member && !holder.losing)
                .map(|(at, _)| at)
                .take(surplus)
                .collect();
            for at in asked {
                self.ask_for(at, now, dice);
            }
        }
    }

    /// Asks an owner for a partition; the token of that ownership.
    fn ask_for(&mut self, at: TopicPartition, now: Duration, dice: &mut Dice) -> Option<Token> {
        let holder = self.seats.get_mut(&at)?.holder.as_mut()?;
        holder.losing = true;
        let (member, token) = (holder.member, holder.token);
        let heard_at = now + dice.latency();
        let losing = Ownership::Losing { at, token };
        self.members.tell(member, heard_at, losing);
        Some(token)
    }

    /// Takes any partition, or asks for it: then this is what was asked for.
    pub fn move_any(&mut self, now: Duration, dice: &mut Dice) -> Option<(TopicPartition, Token)> {
        let held: Vec<(TopicPartition, Holder)> = self.held().collect();
        let (at, holder) = dice.pick(&held)?;
        if dice.chance(dice.faults.taken_unasked) {
            self.take(at, holder.token, now, dice);
            return None;
        }
        if holder.losing {
            return None;
        }
        Some((at, self.ask_for(at, now, dice)?))
    }
}
