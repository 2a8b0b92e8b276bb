//! Tests of `table`.

use super::*;

const LOW: Rank = (0, 0, 5);
const HIGH: Rank = (0, 0, 6);

fn judged(fill: impl FnOnce(&mut Table, &mut Findings)) -> (Sums, Vec<String>) {
    let mut findings = Findings::default();
    let mut table = Table::new("spring/1".into(), 1).unwrap();
    fill(&mut table, &mut findings);
    let sums = table.close(false, &mut findings);
    (sums, findings.into_lines())
}

fn delivered() -> Sums {
    let mut sums = Sums::default();
    sums.finals[Final::Delivered as usize] = 1;
    sums
}

#[test]
fn the_highest_rank_counts_in_any_order() {
    for flip in [false, true] {
        let mut events = [(LOW, Final::Bounced), ((0, 1, 1), Final::Delivered)];
        if flip {
            events.reverse();
        }
        let (sums, findings) = judged(|table, findings| {
            for (rank, end) in events {
                table.ended(0, rank, end, findings);
            }
        });
        assert_eq!((sums, findings), (delivered(), vec![]));
    }
}

#[test]
fn the_same_event_twice_is_one() {
    let (sums, findings) = judged(|table, findings| {
        table.ended(0, LOW, Final::Delivered, findings);
        table.ended(0, LOW, Final::Delivered, findings);
    });
    assert_eq!((sums, findings), (delivered(), vec![]));
}

#[test]
fn two_ends_of_one_rank_are_found_whatever_counts() {
    for others in [vec![], vec![HIGH]] {
        let (_, findings) = judged(|table, findings| {
            for rank in &others {
                table.ended(0, *rank, Final::Bounced, findings);
            }
            table.ended(0, LOW, Final::Expired, findings);
            table.ended(0, LOW, Final::Bounced, findings);
        });
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}

#[test]
fn a_second_delivery_needs_an_in_doubt_event_before_it() {
    let cases = [
        (None, 1),
        (Some(LOW), 1),
        (Some(HIGH), 0),
        (Some((0, 0, 7)), 1),
    ];
    for (doubt, wrong) in cases {
        for flip in [false, true] {
            let (_, findings) = judged(|table, findings| {
                let ranks = if flip { [HIGH, LOW] } else { [LOW, HIGH] };
                for rank in ranks {
                    table.ended(0, rank, Final::Delivered, findings);
                }
                if let Some(doubt) = doubt {
                    table.doubted(0, doubt);
                }
            });
            assert_eq!(findings.len(), wrong, "{doubt:?} {findings:?}");
        }
    }
}

#[test]
fn a_place_in_the_queue_counts_before_an_event_that_was_not_committed() {
    let (sums, findings) = judged(|table, findings| {
        table.queued(0, PlaceKind::Retrying, findings);
        table.ended(0, LOW, Final::Delivered, findings);
    });
    assert_eq!((sums.retrying, sums.finals), (1, [0; 7]));
    assert!(findings.is_empty());
    let (_, findings) = judged(|table, findings| {
        table.queued(0, PlaceKind::Retrying, findings);
        table.queued(0, PlaceKind::Pending, findings);
    });
    assert_eq!(findings.len(), 1);
}

#[test]
fn what_moves_may_be_where_it_goes_already() {
    let (sums, findings) = judged(|table, findings| {
        table.moving(0, PlaceKind::Pending, (0, 0), findings);
        table.ended(0, (0, 0, 9), Final::Dead, findings);
    });
    assert_eq!((sums, findings.len()), (Sums::default(), 0));
    let (sums, findings) = judged(|table, findings| {
        table.moving(0, PlaceKind::Pending, (0, 0), findings);
        table.ended(0, (0, 1, 1), Final::Delivered, findings);
    });
    assert_eq!((sums, findings.len()), (delivered(), 0));
    let (sums, findings) = judged(|table, findings| {
        table.moving(0, PlaceKind::Pending, (0, 0), findings);
        table.queued(0, PlaceKind::Retrying, findings);
    });
    assert_eq!((sums.retrying, findings.len()), (1, 0));
}

#[test]
fn dead_rows_and_letters_go_together() {
    let dead = |table: &mut Table, findings: &mut Findings| {
        table.ended(0, LOW, Final::Dead, findings);
    };
    let found = |fill: &dyn Fn(&mut Table, &mut Findings)| judged(|t, f| fill(t, f)).1.len();
    assert_eq!(found(&|t, f| dead(t, f)), 1);
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.letter(0, 0, false, f)
        }),
        0
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.letter(0, 0, true, f)
        }),
        2
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.letter(0, 1, false, f)
        }),
        2
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.purged(0, 0)
        }),
        0
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.purged(0, 1)
        }),
        1
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.replayed(0, 0)
        }),
        1
    );
    assert_eq!(
        found(&|t, f| {
            dead(t, f);
            t.replayed(0, 0);
            t.queued(0, PlaceKind::Pending, f)
        }),
        0
    );
    assert_eq!(found(&|t, f| t.letter(0, 0, false, f)), 2);
}

#[test]
fn a_row_that_is_nowhere_is_found_unless_cancelled() {
    let (_, findings) = judged(|_, _| {});
    assert_eq!(findings.len(), 1);
    let mut none = Findings::default();
    Table::new("x/1".into(), 1).unwrap().close(true, &mut none);
    assert!(none.is_empty());
    let (_, findings) = judged(|table, findings| table.ended(9, LOW, Final::Dead, findings));
    assert_eq!(findings.len(), 2);
}
