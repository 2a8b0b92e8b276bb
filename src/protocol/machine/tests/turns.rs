//! Which sites are claimed for where one commit cannot claim for all.

use super::*;
use crate::domain::chunk::Chunk;

/// Four messages to a site each, `limited` ones first by name.
fn four_sites(limited: &[&str]) -> Rc<Chunk> {
    let mut chunk = chunk(1, &[0, 1, 2, 3], None);
    let messages = &mut Rc::get_mut(&mut chunk).unwrap().messages;
    for (index, message) in messages.iter_mut().enumerate() {
        let site = limited.get(index).unwrap_or(&"open.example");
        message.line.address = format!("r{index}@{site}");
    }
    chunk
}

/// The positions that so many commits of one claim each have claimed. Limited sites take one message a commit.
fn claimed_one_by_one(commits: usize, limited: &[&str]) -> Vec<usize> {
    let topics = Topics::of_run(0);
    let mut machine = owned(SEND, None, &topics);
    read(&mut machine, 0, four_sites(limited));
    let claim = |_| {
        let effects = topics.at(0, |view| machine.effects(view)).unwrap();
        machine.effects_durable(effects).unwrap();
        let draft = topics.at(0, |view| {
            let room = |site: &str| match limited.contains(&site) {
                true => 1,
                false => usize::MAX,
            };
            let view = CycleView {
                room: &room,
                ..*view
            };
            machine.prepare_and_compose(&view, limits(1, None))
        });
        draft.unwrap().unwrap();
        let [claimed] = machine.committed().unwrap().try_into().unwrap();
        // It comes back, so that only the turn keeps it from being the next again.
        report(&mut machine, claimed.reference, None);
        claimed.reference.position
    };
    (0..commits).map(claim).collect()
}

#[test]
fn limited_sites_take_turns_from_one_commit_to_the_next() {
    let sites = ["a.example", "b.example", "c.example", "d.example"];
    assert_eq!(claimed_one_by_one(5, &sites), [0, 1, 2, 3, 0]);
}

#[test]
fn without_limits_the_first_messages_go_first() {
    assert_eq!(claimed_one_by_one(3, &[]), [0, 0, 0]);
}
