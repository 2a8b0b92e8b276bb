//! Which member owns which partition. Each partition of send and of the retry tiers is assigned by itself: assigned,
//! asked back, revoked.

use super::faults::Random;
use super::history::EndedOwnership;
use super::members::{MemberId, Members, ProcessId};
use mailq::domain::topic::TopicPartition;
use mailq::queue::{Ownership, Token};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
struct Owner {
    member: MemberId,
    token: Token,
    /// Asked to release it.
    is_losing: bool,
}

#[derive(Debug, Default)]
struct Assignment {
    owner: Option<Owner>,
    /// Assigned to nobody before this.
    free_from: Duration,
}

#[derive(Debug)]
pub(super) struct Assignments {
    pub members: Members,
    assignments: BTreeMap<TopicPartition, Assignment>,
    last_token: Token,
    pub ended: Vec<EndedOwnership>,
}

impl Assignments {
    pub fn new(lease: Duration) -> Assignments {
        Assignments {
            members: Members::new(lease),
            assignments: BTreeMap::new(),
            last_token: 0,
            ended: Vec::new(),
        }
    }

    pub fn add(&mut self, at: TopicPartition) {
        self.assignments.entry(at).or_default();
    }

    /// The process of the member that owns a partition under this token.
    pub fn owner(&self, at: TopicPartition, token: Token) -> Option<ProcessId> {
        let owner = self.assignments.get(&at)?.owner?;
        let member = (owner.token == token).then_some(owner.member)?;
        Some(self.members.process_of(member).unwrap_or_default())
    }

    pub fn owned_by(&self, member: MemberId) -> Vec<(TopicPartition, Token)> {
        self.owned()
            .filter(|(_, owner)| owner.member == member)
            .map(|(at, owner)| (at, owner.token))
            .collect()
    }

    fn owned(&self) -> impl Iterator<Item = (TopicPartition, Owner)> {
        let assignments = self.assignments.iter();
        assignments.filter_map(|(at, assignment)| assignment.owner.map(|owner| (*at, owner)))
    }

    /// Does nothing if the token is not that of the present ownership.
    pub fn release(
        &mut self,
        at: TopicPartition,
        token: Token,
        now: Duration,
        random: &mut Random,
    ) {
        if let Some(process) = self.owner(at, token)
            && let Some(assignment) = self.assignments.get_mut(&at)
        {
            assignment.owner = None;
            assignment.free_from = now + random.up_to(random.faults.unassigned_for);
            self.ended.push(EndedOwnership {
                process,
                at,
                token,
                ended_at: now,
            });
        }
    }

    /// Takes a partition from its owner, which learns of it later.
    pub fn revoke(&mut self, at: TopicPartition, token: Token, now: Duration, random: &mut Random) {
        let owner = self
            .assignments
            .get(&at)
            .and_then(|assignment| assignment.owner);
        if let Some(owner) = owner.filter(|owner| owner.token == token) {
            self.release(at, token, now, random);
            let arrives_at = now + random.latency();
            let lost = Ownership::Lost { at, token };
            self.members.notify(owner.member, arrives_at, lost);
        }
    }

    pub fn revoke_all(&mut self, member: MemberId, now: Duration, random: &mut Random) {
        for (at, token) in self.owned_by(member) {
            self.revoke(at, token, now, random);
        }
    }

    pub fn revoke_all_of_process(
        &mut self,
        process: ProcessId,
        now: Duration,
        random: &mut Random,
    ) {
        for member in self.members.of_process(process) {
            self.revoke_all(member, now, random);
        }
    }

    /// Ends each lease that is over by `until`, at its own instant.
    pub fn expire_until(&mut self, until: Duration, random: &mut Random) {
        while let Some((ended_at, member)) = self.members.expire_next(until) {
            self.revoke_all(member, ended_at, random);
        }
    }

    /// Assigns free partitions to members that run: to the one that owns least, or to any.
    pub fn assign_free(&mut self, now: Duration, fairly: bool, random: &mut Random) {
        let running = self.members.running();
        let free: Vec<TopicPartition> = self
            .assignments
            .iter()
            .filter(|(_, assignment)| assignment.owner.is_none() && assignment.free_from <= now)
            .map(|(at, _)| *at)
            .collect();
        for at in free {
            let member = if fairly {
                let shares = self.shares(&running);
                let least = shares.iter().min_by_key(|(id, count)| (**count, **id));
                least.map(|(id, _)| *id)
            } else {
                random.pick(&running)
            };
            if let Some(member) = member {
                self.assign(at, member, now, random);
            }
        }
    }

    fn assign(&mut self, at: TopicPartition, member: MemberId, now: Duration, random: &mut Random) {
        self.last_token += 1;
        let token = self.last_token;
        let owner = Owner {
            member,
            token,
            is_losing: false,
        };
        self.assignments.entry(at).or_default().owner = Some(owner);
        let arrives_at = now + random.latency();
        let gained = Ownership::Gained { at, token };
        self.members.notify(member, arrives_at, gained);
    }

    /// How many partitions each member keeps, without those that it is asked to release.
    fn shares(&self, members: &[MemberId]) -> BTreeMap<MemberId, usize> {
        let mut shares: BTreeMap<MemberId, usize> = members.iter().map(|id| (*id, 0)).collect();
        for (_, owner) in self.owned().filter(|(_, owner)| !owner.is_losing) {
            if let Some(count) = shares.get_mut(&owner.member) {
                *count += 1;
            }
        }
        shares
    }

    /// Asks members that own more than their share to release the rest.
    pub fn balance(&mut self, now: Duration, random: &mut Random) {
        let running = self.members.running();
        let Some(most) = self.assignments.len().checked_div(running.len()) else {
            return;
        };
        let mut one_more = self.assignments.len() % running.len();
        for (member, count) in self.shares(&running) {
            let keeps_one_more = count > most && one_more > 0;
            one_more -= usize::from(keeps_one_more);
            let surplus = count.saturating_sub(most + usize::from(keeps_one_more));
            let asked: Vec<TopicPartition> = self
                .owned()
                .filter(|(_, owner)| owner.member == member && !owner.is_losing)
                .map(|(at, _)| at)
                .take(surplus)
                .collect();
            for at in asked {
                self.request_release(at, now, random);
            }
        }
    }

    /// Asks the owner to release a partition. Returns the token of that ownership.
    fn request_release(
        &mut self,
        at: TopicPartition,
        now: Duration,
        random: &mut Random,
    ) -> Option<Token> {
        let owner = self.assignments.get_mut(&at)?.owner.as_mut()?;
        owner.is_losing = true;
        let (member, token) = (owner.member, owner.token);
        let arrives_at = now + random.latency();
        let losing = Ownership::Losing { at, token };
        self.members.notify(member, arrives_at, losing);
        Some(token)
    }

    /// Revokes any partition, or asks its owner to release it. Returns what was asked for.
    pub fn move_any(
        &mut self,
        now: Duration,
        random: &mut Random,
    ) -> Option<(TopicPartition, Token)> {
        let owned: Vec<(TopicPartition, Owner)> = self.owned().collect();
        let (at, owner) = random.pick(&owned)?;
        if random.chance(random.faults.revoked_without_notice) {
            self.revoke(at, owner.token, now, random);
            return None;
        }
        if owner.is_losing {
            return None;
        }
        Some((at, self.request_release(at, now, random)?))
    }
}
