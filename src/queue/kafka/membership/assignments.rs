//! Which partitions the group has assigned to this member, and which of them it owns. No I/O.
//!
//! An assigned partition is not always owned: the worker may have released it, or may have lost it to a commit of
//! unknown result. It is then gained again under a new token, unless the group has revoked it.

use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Commit, Committed, Ownership, Token};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A partition that the worker has released without being asked is gained again after this.
const REGAIN_AFTER: Duration = Duration::from_secs(1);

/// A group that was joined again may assign partitions in several rebalances; this long after the first one all are
/// there.
const RETURN_WINDOW: Duration = Duration::from_secs(2);

/// Tokens never repeat in a process, over all of its memberships.
static LAST_TOKEN: AtomicU64 = AtomicU64::new(0);

/// One partition that the group has assigned to this member.
#[derive(Debug)]
struct Assignment {
    /// `None`: it was released or lost, and is not owned until it is gained again.
    token: Option<Token>,
    released_at: Instant,
    /// The group has revoked it: another member waits for it.
    is_revoking: bool,
    /// The last commit of this ownership, and when it was written.
    last_commit: Option<(Committed, Instant)>,
}

#[derive(Debug, Default)]
pub(super) struct Assignments {
    assignments: BTreeMap<TopicPartition, Assignment>,
    /// Owned when the group was left, and owned again under the same token if the group assigns them again.
    suspended: BTreeMap<TopicPartition, Assignment>,
    /// When the group first assigned partitions after it was joined again.
    assigned_at: Option<Instant>,
    /// The group must be left and joined again, so that commits in flight are fenced.
    pub must_rejoin: bool,
    pub has_left: bool,
}

impl Assignments {
    /// The group has assigned these.
    pub fn assign(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        if self.has_left || self.must_rejoin {
            return Vec::new();
        }
        self.assigned_at.get_or_insert_with(Instant::now);
        let mut gained = Vec::new();
        for at in at {
            match self.suspended.remove(at) {
                Some(assignment) => drop(self.assignments.insert(*at, assignment)),
                None => gained.push(self.gain(*at)),
            }
        }
        gained
    }

    /// The group is left and joined again. Owned partitions are kept until it is known which of them come back.
    pub fn suspend(&mut self) -> Vec<Ownership> {
        self.must_rejoin = true;
        self.assigned_at = None;
        let mut uncertain = Vec::new();
        for (at, assignment) in &mut self.assignments {
            let kept = Assignment {
                token: assignment.token.take(),
                released_at: Instant::now(),
                is_revoking: false,
                last_commit: assignment.last_commit.take(),
            };
            assignment.released_at = Instant::now();
            if let Some(token) = kept.token {
                uncertain.push(Ownership::Uncertain { at: *at, token });
                self.suspended.insert(*at, kept);
            }
        }
        uncertain
    }

    /// Whether all partitions that come back after a rejoin have come.
    pub fn has_rejoined(&self) -> bool {
        let is_over = |at: Instant| !self.must_rejoin && at.elapsed() >= RETURN_WINDOW;
        self.has_left || self.suspended.is_empty() || self.assigned_at.is_some_and(is_over)
    }

    /// Loses the partitions that have not come back.
    pub fn lose_suspended(&mut self) -> Vec<Ownership> {
        let rest = std::mem::take(&mut self.suspended).into_iter();
        let lost = rest.filter_map(|(at, assignment)| {
            let token = assignment.token?;
            Some(Ownership::Lost { at, token })
        });
        let lost = lost.collect();
        if self.has_left { Vec::new() } else { lost }
    }

    /// Owned partitions, their tokens and the last commit of each ownership.
    pub fn owned(&self) -> Vec<(TopicPartition, Token, Option<Committed>)> {
        let owned = self.assignments.iter().filter_map(|(at, assignment)| {
            let written = assignment
                .last_commit
                .as_ref()
                .map(|(commit, _)| commit.clone());
            Some((*at, assignment.token?, written))
        });
        owned.collect()
    }

    /// Adds the partitions of new tiers, which go with those of send.
    pub fn add_topics(&mut self, topics: &[Topic]) -> Vec<Ownership> {
        let held = self.assignments.iter();
        let held =
            held.filter(|(at, assignment)| at.topic == Topic::Send && !assignment.is_revoking);
        let wanted: Vec<TopicPartition> = held
            .flat_map(|(at, _)| topics.iter().map(|t| TopicPartition::new(*t, at.partition)))
            .filter(|at| !self.assignments.contains_key(at))
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        self.assign(&wanted)
    }

    fn gain(&mut self, at: TopicPartition) -> Ownership {
        let token = LAST_TOKEN.fetch_add(1, Ordering::Relaxed) + 1;
        let assignment = Assignment {
            token: Some(token),
            released_at: Instant::now(),
            is_revoking: false,
            last_commit: None,
        };
        self.assignments.insert(at, assignment);
        Ownership::Gained { at, token }
    }

    /// Gains partitions again, under new tokens, that have been assigned and not owned for a while, because no other member has them.
    pub fn regain_released(&mut self) -> Vec<Ownership> {
        if self.has_left || self.must_rejoin {
            return Vec::new();
        }
        let idle = self.assignments.iter().filter(|(_, assignment)| {
            assignment.token.is_none()
                && !assignment.is_revoking
                && assignment.released_at.elapsed() >= REGAIN_AFTER
        });
        let idle: Vec<TopicPartition> = idle.map(|(at, _)| *at).collect();
        idle.into_iter().map(|at| self.gain(at)).collect()
    }

    pub fn owns(&self, at: TopicPartition, token: Token) -> bool {
        let assignment = self.assignments.get(&at);
        assignment.is_some_and(|assignment| assignment.token == Some(token))
    }

    /// Ends an ownership. False: the partition was not owned under this token.
    pub fn release(&mut self, at: TopicPartition, token: Token) -> bool {
        if self
            .suspended
            .get(&at)
            .is_some_and(|assignment| assignment.token == Some(token))
        {
            self.suspended.remove(&at);
            return true;
        }
        let assignment = self.assignments.get_mut(&at);
        let Some(assignment) = assignment.filter(|assignment| assignment.token == Some(token))
        else {
            return false;
        };
        assignment.token = None;
        assignment.released_at = Instant::now();
        true
    }

    /// The group revokes these partitions: their owner is asked to release them.
    pub fn request_release(&mut self, wanted: &[TopicPartition]) -> Vec<Ownership> {
        let mut asked = Vec::new();
        for at in wanted {
            let Some(assignment) = self.assignments.get_mut(at) else {
                continue;
            };
            assignment.is_revoking = true;
            let at = *at;
            asked.extend(
                assignment
                    .token
                    .map(|token| Ownership::Losing { at, token }),
            );
        }
        asked
    }

    pub fn owns_any(&self, of: &[TopicPartition]) -> bool {
        let mut assignments = of.iter().filter_map(|at| self.assignments.get(at));
        assignments.any(|assignment| assignment.token.is_some())
    }

    /// These partitions are not assigned any more.
    pub fn revoke(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        let lost = self.lose(at);
        for at in at {
            self.assignments.remove(at);
        }
        lost
    }

    fn lose(&mut self, at: &[TopicPartition]) -> Vec<Ownership> {
        let mut lost = Vec::new();
        for at in at {
            let assignment = self.assignments.get_mut(at);
            let token = assignment.and_then(|assignment| assignment.token.take());
            let at = *at;
            lost.extend(token.map(|token| Ownership::Lost { at, token }));
        }
        if self.has_left {
            return Vec::new();
        }
        lost
    }

    pub fn lose_one(&mut self, at: TopicPartition) -> Vec<Ownership> {
        if let Some(assignment) = self.assignments.get_mut(&at) {
            assignment.released_at = Instant::now();
        }
        self.lose(&[at])
    }

    /// Ends every ownership. The group may still have the partitions assigned to this member.
    pub fn lose_all(&mut self) -> Vec<Ownership> {
        let all: Vec<TopicPartition> = self.assignments.keys().copied().collect();
        for assignment in self.assignments.values_mut() {
            assignment.released_at = Instant::now();
        }
        let mut lost = self.lose(&all);
        lost.extend(self.lose_suspended());
        lost
    }

    pub fn assigned_count(&self) -> usize {
        self.assignments.len()
    }

    /// False: the partition is not assigned.
    #[must_use]
    pub fn record_commit(&mut self, at: TopicPartition, commit: Committed) -> bool {
        let assignment = self.assignments.get_mut(&at);
        let last = assignment.map(|assignment| &mut assignment.last_commit);
        last.map(|last| *last = Some((commit, Instant::now())))
            .is_some()
    }

    /// The last commits of owned partitions that were written longer ago than this.
    pub fn commits_older_than(&self, age: Duration) -> Vec<Commit> {
        let old = self.assignments.iter().filter_map(|(at, assignment)| {
            let (written, since) = assignment.last_commit.as_ref()?;
            let token = assignment.token.filter(|_| since.elapsed() >= age)?;
            Some(Commit {
                at: *at,
                token,
                offset: written.offset,
                text: written.text.clone(),
            })
        });
        old.collect()
    }

    pub fn last_commit(&self, at: TopicPartition) -> Option<&Committed> {
        self.assignments
            .get(&at)?
            .last_commit
            .as_ref()
            .map(|(commit, _)| commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicPartition = TopicPartition::new(Topic::Send, 0);
    const B: TopicPartition = TopicPartition::new(Topic::Send, 1);

    fn token(change: &Ownership) -> Token {
        match change {
            Ownership::Gained { token, .. }
            | Ownership::Losing { token, .. }
            | Ownership::Uncertain { token, .. }
            | Ownership::Lost { token, .. } => *token,
        }
    }

    #[test]
    fn a_released_partition_is_gained_again_later() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A]);
        let first = token(&gained[0]);
        assert!(!assignments.release(A, first + 1));
        assert!(assignments.release(A, first) && !assignments.release(A, first));
        assert_eq!(assignments.regain_released(), []);
        if let Some(assignment) = assignments.assignments.get_mut(&A) {
            assignment.released_at = Instant::now() - REGAIN_AFTER;
        }
        let again = assignments.regain_released();
        assert!(token(&again[0]) > first);
        assert!(assignments.owns(A, token(&again[0])) && !assignments.owns(A, first));
    }

    #[test]
    fn a_revoked_partition_is_asked_for_and_not_gained_again() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A, B]);
        assert_eq!(
            assignments.request_release(&[A]),
            [Ownership::Losing {
                at: A,
                token: token(&gained[0])
            }]
        );
        assert!(assignments.owns_any(&[A]));
        assignments.release(A, token(&gained[0]));
        assert!(!assignments.owns_any(&[A]) && assignments.owns_any(&[B]));
        assert_eq!(assignments.revoke(&[A]), []);
        assert_eq!(assignments.assigned_count(), 1);
        let lost = Ownership::Lost {
            at: B,
            token: token(&gained[1]),
        };
        assert_eq!(assignments.revoke(&[B]), [lost]);
    }

    #[test]
    fn nothing_is_gained_while_the_group_is_joined_again() {
        let mut assignments = Assignments::default();
        assignments.assign(&[A]);
        assignments.must_rejoin = true;
        assert_eq!(assignments.lose_all().len(), 1);
        assert_eq!(assignments.assign(&[B]), []);
        assert_eq!(assignments.regain_released(), []);
        assignments.must_rejoin = false;
        assert_eq!(assignments.assign(&[B]).len(), 1);
    }

    #[test]
    fn a_partition_that_comes_back_after_a_rejoin_is_owned_as_before() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A, B]);
        let commit = Committed {
            offset: 3,
            text: "x".to_string(),
        };
        assert!(assignments.record_commit(A, commit.clone()));
        let uncertain = assignments.suspend();
        assert!(matches!(
            uncertain[..],
            [Ownership::Uncertain { at: A, .. }, _]
        ));
        assert!(!assignments.owns(A, token(&gained[0])) && !assignments.has_rejoined());
        assert_eq!(assignments.revoke(&[A, B]), []);
        assignments.must_rejoin = false;
        assert_eq!(assignments.assign(&[]), []);
        assert!(!assignments.has_rejoined());
        assert_eq!(assignments.assign(&[A]), []);
        assert_eq!(assignments.owned(), [(A, token(&gained[0]), Some(commit))]);
        assignments.assigned_at = Some(Instant::now() - RETURN_WINDOW);
        assert!(assignments.has_rejoined());
        let lost = Ownership::Lost {
            at: B,
            token: token(&gained[1]),
        };
        assert_eq!(assignments.lose_suspended(), [lost]);
        assert_eq!(assignments.lose_suspended(), []);
    }

    #[test]
    fn a_partition_released_during_a_rejoin_does_not_come_back() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A]);
        assignments.suspend();
        assert!(assignments.release(A, token(&gained[0])) && assignments.has_rejoined());
        assignments.revoke(&[A]);
        assignments.must_rejoin = false;
        assert!(token(&assignments.assign(&[A])[0]) > token(&gained[0]));
    }

    #[test]
    fn a_new_tier_goes_with_send() {
        let mut assignments = Assignments::default();
        assignments.assign(&[A, B]);
        assignments.request_release(&[B]);
        let tier = Topic::Retry(Duration::from_secs(60));
        let gained = assignments.add_topics(&[Topic::Send, tier]);
        let at = TopicPartition::new(tier, 0);
        assert!(matches!(gained[..], [Ownership::Gained { at: a, .. }] if a == at));
        assert_eq!(assignments.add_topics(&[Topic::Send, tier]), []);
    }

    #[test]
    fn old_commits_are_found() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A, B]);
        let commit = Committed {
            offset: 3,
            text: "x".to_string(),
        };
        assert!(assignments.record_commit(A, commit));
        assert_eq!(assignments.commits_older_than(Duration::from_secs(60)), []);
        let old = assignments.commits_older_than(Duration::ZERO);
        assert_eq!((old.len(), old[0].at, old[0].offset), (1, A, 3));
        assignments.release(A, token(&gained[0]));
        assert_eq!(assignments.commits_older_than(Duration::ZERO), []);
    }

    #[test]
    fn a_member_that_has_left_gets_no_changes() {
        let mut assignments = Assignments::default();
        let gained = assignments.assign(&[A]);
        assignments.has_left = true;
        assert_eq!(assignments.lose_all(), []);
        assert!(!assignments.owns(A, token(&gained[0])));
        assert_eq!(assignments.assign(&[B]), []);
    }
}
