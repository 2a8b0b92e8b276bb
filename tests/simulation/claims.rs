//! Checks the commits one by one: at most K messages are claimed, and a message is with a relay only while the worker
//! that sends it has a valid claim.

use super::relay::Transaction;
use super::totals::Totals;
use super::world::{K, LEASE, World};
use mailq::domain::records::CampaignRecord;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::protocol::{BaseId, Bases, MessageRef, Progress};
use mailq::queue::{MAX_COMMIT_TEXT, Token, chunk};
use mailq_testkit::memory::{ProcessId, WrittenCommit};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// A message that is claimed in one commit.
#[derive(Debug, Clone)]
pub struct Claim {
    pub process: ProcessId,
    pub at: TopicPartition,
    pub reference: MessageRef,
    sent_at: Duration,
    written_at: Duration,
    /// Not claimed in the commit before it.
    is_new: bool,
}

/// By message id, in the order of commits.
pub type Claims = BTreeMap<String, Vec<Claim>>;

struct Owned {
    process: ProcessId,
    progress: Progress,
    /// Claims of the owner before, in the first commit.
    inherited: BTreeSet<MessageRef>,
}

fn claimed(progress: &Progress) -> BTreeSet<MessageRef> {
    let open = progress.open.iter();
    open.flat_map(|(offset, chunk)| {
        let positions = chunk.claimed.without(&chunk.done);
        positions
            .iter()
            .map(|position| MessageRef {
                offset: *offset,
                position,
            })
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Counts ownerships' losses into the totals.
pub fn check(world: &World, totals: &mut Totals) -> Result<Claims, String> {
    let history = world.log.history();
    let ends: BTreeMap<Token, Duration> = history
        .ended
        .iter()
        .map(|end| (end.token, end.ended_at))
        .collect();
    let mut owned: BTreeMap<Token, Owned> = BTreeMap::new();
    let mut claims = Claims::new();
    let bases = AllBases::of(world);
    let mut ids = Ids {
        world,
        chunks: BTreeMap::new(),
    };
    let mut added = false;
    for (index, commit) in history.commits.iter().enumerate() {
        let progress = read(commit, &bases)?;
        let before = owned.remove(&commit.token);
        let (now, was) = (
            claimed(&progress),
            before.as_ref().map(|owned| claimed(&owned.progress)),
        );
        for reference in &now {
            let is_new = was.as_ref().is_some_and(|was| !was.contains(reference));
            let Some(id) = ids.get(commit.at, *reference) else {
                return Err(format!(
                    "{} claims {reference:?}, which is nowhere",
                    commit.text
                ));
            };
            let is_inherited = match &before {
                None => true,
                Some(before) => before.inherited.contains(reference) && !is_new,
            };
            if !is_inherited {
                let (sent_at, written_at) = (commit.sent_at, commit.written_at);
                let claim = Claim {
                    process: commit.process,
                    at: commit.at,
                    reference: *reference,
                    sent_at,
                    written_at,
                    is_new,
                };
                claims.entry(id).or_default().push(claim);
            }
        }
        let adds = was
            .as_ref()
            .is_some_and(|was| now.difference(was).next().is_some());
        let inherited = match before {
            None => now,
            Some(before) => before.inherited.intersection(&now).copied().collect(),
        };
        let process = commit.process;
        owned.insert(
            commit.token,
            Owned {
                process,
                progress,
                inherited,
            },
        );
        added |= adds;
        let is_last_of_request = history.commits.get(index + 1).is_none_or(|next| {
            (next.process, next.sent_at, next.written_at)
                != (commit.process, commit.sent_at, commit.written_at)
        });
        if is_last_of_request && std::mem::take(&mut added) {
            let lives = |token: &Token| ends.get(token).is_none_or(|end| *end > commit.written_at);
            let mine = owned
                .iter()
                .filter(|(token, owned)| owned.process == process && lives(token));
            let sum: usize = mine.map(|(_, owned)| owned.progress.uncommitted()).sum();
            if sum > K {
                return Err(format!("{sum} messages uncommitted after {commit:?}"));
            }
        }
    }
    let lost = |owned: &Owned| {
        claimed(&owned.progress)
            .difference(&owned.inherited)
            .count()
    };
    let ended = owned.iter().filter(|(token, _)| ends.contains_key(token));
    totals.losses = ended.map(|(_, owned)| lost(owned) as u64).sum();
    totals.retried = claims
        .values()
        .flatten()
        .filter(|claim| claim.is_new && claim.at.topic != Topic::Send)
        .count() as u64;
    let transactions = world.mailbox.transactions.borrow();
    totals.transactions = transactions.len() as u64;
    for transaction in transactions.iter() {
        check_transaction(transaction, &claims)?;
    }
    Ok(claims)
}

fn read(commit: &WrittenCommit, bases: &AllBases) -> Result<Progress, String> {
    if commit.text.len() > MAX_COMMIT_TEXT {
        return Err(format!("a commit of {} characters", commit.text.len()));
    }
    Progress::parse(&commit.text, bases).map_err(|error| format!("{}: {error}", commit.text))
}

/// Every base that was ever appended, by its id: earlier commits refer to some that are deleted. The digest tells those
/// of different partitions apart.
struct AllBases(BTreeMap<String, Rc<Progress>>);

impl AllBases {
    fn of(world: &World) -> AllBases {
        let appended = world.log.all_appended(Topic::Campaign).into_iter();
        let bases = appended.filter_map(|(_, stored)| {
            let record = serde_json::from_slice(stored.record.payload.as_deref()?).ok()?;
            let CampaignRecord::Base(base) = record else {
                return None;
            };
            let progress = Progress::parse(&base.text, &()).expect("a base that can be read");
            Some((base.id, Rc::new(progress)))
        });
        AllBases(bases.collect())
    }
}

impl Bases for AllBases {
    fn base(&self, id: BaseId) -> Option<Rc<Progress>> {
        self.0.get(&id.to_string()).cloned()
    }
}

/// Contents of chunks, read when needed.
struct Ids<'a> {
    world: &'a World,
    chunks: BTreeMap<TopicPartition, Vec<Option<Vec<String>>>>,
}

impl Ids<'_> {
    fn get(&mut self, at: TopicPartition, reference: MessageRef) -> Option<String> {
        let world = self.world;
        let chunks = self.chunks.entry(at).or_insert_with(|| {
            let records = world.log.all_appended(at.topic).into_iter();
            let here = records.filter(|(partition, _)| *partition == at.partition);
            here.map(|(_, stored)| {
                let chunk = chunk::decode(&stored.record).ok()?;
                Some(
                    chunk
                        .messages
                        .into_iter()
                        .map(|message| message.line.id)
                        .collect(),
                )
            })
            .collect()
        });
        chunks
            .get(reference.offset as usize)?
            .as_ref()?
            .get(reference.position)
            .cloned()
    }
}

/// The claims under which a transaction may have begun. Every acknowledged commit renews its claims.
pub fn valid<'a>(transaction: &Transaction, claims: &'a Claims) -> Vec<&'a Claim> {
    covering(transaction, transaction.begun_at, claims)
}

fn covering<'a>(transaction: &Transaction, at: Duration, claims: &'a Claims) -> Vec<&'a Claim> {
    let validity = LEASE * 2 / 3;
    let all = claims.get(&transaction.id).into_iter().flatten();
    all.filter(|claim| claim.process == transaction.process)
        .filter(|claim| claim.written_at <= at && at < claim.sent_at + validity)
        .collect()
}

fn check_transaction(transaction: &Transaction, claims: &Claims) -> Result<(), String> {
    let dot_at = transaction.dot_at.unwrap_or(transaction.begun_at);
    for at in [transaction.begun_at, dot_at] {
        if covering(transaction, at, claims).is_empty() {
            let mine = claims.get(&transaction.id);
            return Err(format!(
                "sent without a young claim at {at:?}: {transaction:?}: {mine:?}"
            ));
        }
    }
    Ok(())
}
