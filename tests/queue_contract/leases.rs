//! Members, ownership and commits.

use super::*;
use mailq::domain::topic::INITIAL_COMMIT;
use mailq::queue::{Commit, CommitOutcome, Committed, MAX_COMMIT_TEXT};

const EVERYTHING: usize = PARTITIONS as usize * 2;

fn commit(at: TopicPartition, token: Token, offset: Offset, text: &str) -> Commit {
    Commit {
        at,
        token,
        offset,
        text: text.to_owned(),
    }
}

async fn commit_one(owner: &Owner, commit: Commit) -> CommitOutcome {
    owner.member.commit(vec![commit]).await.remove(0)
}

async fn committed(queue: &Rc<dyn Queue>, at: TopicPartition) -> Option<Committed> {
    queue.committed(&[at]).await.unwrap().remove(0)
}

fn expected(offset: Offset, text: &str) -> Option<Committed> {
    Some(Committed {
        offset,
        text: text.to_owned(),
    })
}

/// Whether nobody has committed yet: there is no commit, or the initial one where a missing commit means a lost one.
fn is_initial(committed: Option<Committed>) -> bool {
    committed.is_none_or(|c| c.offset == 0 && c.text == INITIAL_COMMIT)
}

/// The members' names and what they own.
async fn members(queue: &Rc<dyn Queue>) -> BTreeMap<String, Vec<TopicPartition>> {
    let members = queue.members().await.unwrap().into_iter();
    let sorted = members.map(|mut member| {
        member.owned.sort();
        (member.name, member.owned)
    });
    sorted.collect()
}

fn keys(owner: &Owner) -> Vec<TopicPartition> {
    owner.owned.keys().copied().collect()
}

/// Two members that share everything between them.
async fn two_owners(store: &Store) -> (Owner, Owner) {
    let mut first = Owner::join(&store.a, "first").await;
    first.own(EVERYTHING).await;
    let mut second = Owner::join(&store.b, "second").await;
    futures_util::future::join(first.own(EVERYTHING / 2), second.own(EVERYTHING / 2)).await;
    (first, second)
}

pub async fn the_only_member_gains_everything(store: Store) {
    assert_eq!(members(&store.b).await, BTreeMap::new());
    let mut only = Owner::join(&store.a, "only").await;
    only.own(EVERYTHING).await;
    assert_eq!(keys(&only), owned_partitions());
    let listed = members(&store.b).await;
    assert_eq!(listed, BTreeMap::from([("only".to_owned(), keys(&only))]));
    assert!(only.member.lease() > Duration::ZERO);
}

pub async fn a_second_member_gains_its_share_after_the_release(store: Store) {
    let mut first = Owner::join(&store.a, "first").await;
    first.own(EVERYTHING).await;
    let mut second = Owner::join(&store.b, "second").await;
    let mut asked = Vec::new();
    while asked.len() < EVERYTHING / 2 {
        match soon("being asked", first.next_change()).await {
            Ownership::Losing { at, token } => asked.push((at, token)),
            other => panic!("{other:?} instead of being asked"),
        }
    }
    let early = tokio::time::timeout(Duration::from_secs(2), second.next_change()).await;
    assert!(early.is_err(), "{early:?} before the release");
    for (at, token) in &asked {
        let last = commit(*at, *token, 0, "last");
        assert_eq!(commit_one(&first, last).await, CommitOutcome::Done, "{at}");
        first.release(*at).await;
    }
    second.own(EVERYTHING / 2).await;
    let released: std::collections::BTreeSet<_> = asked.into_iter().map(|(at, _)| at).collect();
    assert_eq!(keys(&second), released.into_iter().collect::<Vec<_>>());
    let listed = members(&store.a).await;
    assert_eq!(listed["first"], keys(&first));
    assert_eq!(listed["second"], keys(&second));
}

pub async fn commits_are_seen_by_everyone_at_once(store: Store) {
    let mut owner = Owner::join(&store.a, "only").await;
    owner.own(EVERYTHING).await;
    assert!(is_initial(committed(&store.b, SEND_0).await));
    let printable = (b' '..=b'~').map(char::from);
    let longest: String = printable.cycle().take(MAX_COMMIT_TEXT).collect();
    let token = owner.owned[&SEND_0];
    for (offset, text) in [(1, longest.as_str()), (7, ""), (u64::from(u32::MAX), "x")] {
        let outcome = commit_one(&owner, commit(SEND_0, token, offset, text)).await;
        assert_eq!(outcome, CommitOutcome::Done);
        for queue in [&store.b, &store.a] {
            assert_eq!(committed(queue, SEND_0).await, expected(offset, text));
        }
    }
    let retry = TopicPartition::new(RETRY, 3);
    let token = owner.owned[&retry];
    let twice = vec![
        commit(retry, token, 1, "one"),
        commit(retry, token, 2, "two"),
    ];
    let outcomes = owner.member.commit(twice).await;
    assert_eq!(outcomes, [CommitOutcome::Done, CommitOutcome::Done]);
    let both = store.b.committed(&[retry, SEND_0]).await.unwrap();
    let last = u64::from(u32::MAX);
    assert_eq!(both, [expected(2, "two"), expected(last, "x")]);
}

pub async fn a_stale_token_is_refused_and_the_old_text_stands(store: Store) {
    let (mut first, second) = two_owners(&store).await;
    let at = keys(&second)[0];
    let token = second.owned[&at];
    let own = commit_one(&second, commit(at, token, 5, "own")).await;
    assert_eq!(own, CommitOutcome::Done);
    let former = first.gained.iter().find(|gained| gained.0 == at);
    let stale = commit(at, former.unwrap().1, 9, "stale");
    assert_eq!(commit_one(&first, stale).await, CommitOutcome::Refused);
    second.member.leave().await;
    let late = commit_one(&second, commit(at, token, 9, "late")).await;
    assert_eq!(late, CommitOutcome::Refused, "after leaving");
    assert_eq!(committed(&store.a, at).await, expected(5, "own"));
    first.own(EVERYTHING).await;
    let new = commit(at, first.owned[&at], 6, "new");
    assert_eq!(commit_one(&first, new).await, CommitOutcome::Done);
    let again = commit_one(&second, commit(at, token, 9, "late")).await;
    assert_eq!(again, CommitOutcome::Refused, "after another's gain");
    assert_eq!(committed(&store.b, at).await, expected(6, "new"));
}

pub async fn one_lost_partition_refuses_only_its_own_commit(store: Store) {
    let mut owner = Owner::join(&store.a, "only").await;
    owner.own(EVERYTHING).await;
    let at = keys(&owner);
    let before: Vec<Commit> = at[..3]
        .iter()
        .map(|at| commit(*at, owner.owned[at], 1, "before"))
        .collect();
    let after: Vec<Commit> = before
        .iter()
        .map(|c| commit(c.at, c.token, 2, "after"))
        .collect();
    owner.member.commit(before).await;
    owner.release(at[1]).await;
    let outcomes = owner.member.commit(after).await;
    let (done, refused) = (CommitOutcome::Done, CommitOutcome::Refused);
    assert_eq!(outcomes, [done.clone(), refused, done]);
    let mut texts = store.b.committed(&at[..4]).await.unwrap();
    assert!(is_initial(texts.pop().unwrap()));
    let after = expected(2, "after");
    assert_eq!(texts, [after.clone(), expected(1, "before"), after]);
}

pub async fn a_stale_release_changes_nothing(store: Store) {
    let mut owner = Owner::join(&store.a, "only").await;
    owner.own(EVERYTHING).await;
    let old = owner.owned[&SEND_0];
    owner.release(SEND_0).await;
    owner.own(EVERYTHING).await;
    owner.member.release(SEND_0, old).await;
    let new = commit(SEND_0, owner.owned[&SEND_0], 1, "mine");
    assert_eq!(commit_one(&owner, new).await, CommitOutcome::Done);
}

pub async fn leaving_gives_everything_back(store: Store) {
    let (mut first, second) = two_owners(&store).await;
    second.member.leave().await;
    assert_eq!(members(&store.a).await.len(), 1);
    first.own(EVERYTHING).await;
    assert_eq!(keys(&first), owned_partitions());
    first.member.leave().await;
    assert_eq!(members(&store.a).await, BTreeMap::new());
    let mut third = Owner::join(&store.b, "first").await;
    third.own(EVERYTHING).await;
}

pub async fn tokens_never_repeat(store: Store) {
    let mut gained = Vec::new();
    for name in ["one", "two", "three"] {
        let mut owner = Owner::join(&store.a, name).await;
        owner.own(EVERYTHING).await;
        owner.release(SEND_0).await;
        owner.own(EVERYTHING).await;
        owner.member.leave().await;
        gained.extend(owner.gained);
    }
    assert_eq!(gained.len(), 3 * (EVERYTHING + 1));
    gained.sort_unstable();
    assert!(gained.is_sorted_by(|one, next| one < next), "{gained:?}");
}
