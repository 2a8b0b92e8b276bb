//! Signals in, permits and notices out, over boot time.

use super::*;
use crate::domain::outcome::{Attempt, Reply, UnansweredCause};
use crate::engine::policy::Trouble;
use crate::smtp::LoginProblem;
use proptest::prelude::*;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn refused() -> Signal {
    Signal::Refused("421 4.3.2 shutting\x1b down".into())
}

#[test]
fn a_421_opens_it_at_once_and_a_probe_closes_it() {
    let mut breaker = Breaker::new("relay `mx:25`");
    assert_eq!(breaker.may_try(at(0)), Permit::Go);
    let notice = breaker.report(at(0), refused()).unwrap();
    assert_eq!(
        notice.to_string(),
        "relay `mx:25` is paused and probed: 421 4.3.2 shutting  down"
    );
    assert_eq!(breaker.report(at(1), refused()), None);
    assert_eq!(breaker.report(at(2), Signal::Fine), None, "an old answer");
    assert_eq!(breaker.may_try(at(500)), Permit::Wait(at(1_000)));
    assert_eq!(breaker.may_try(at(1_000)), Permit::Probe);
    assert_eq!(breaker.may_try(at(1_001)), Permit::Wait(at(6_000)));
    let notice = breaker.report(at(1_100), Signal::Fine).unwrap();
    assert_eq!(notice.to_string(), "relay `mx:25` works again after 1s");
    assert_eq!(breaker.may_try(at(1_100)), Permit::Go);
}

#[test]
fn waits_grow_to_five_seconds_and_a_lost_probe_delays_nothing() {
    let mut breaker = Breaker::new("relay");
    breaker.report(at(0), refused());
    let mut now = at(0);
    for wait in [1, 2, 5, 5, 5] {
        let next = now + Duration::from_secs(wait);
        assert_eq!(breaker.may_try(now), Permit::Wait(next));
        now = next;
        assert_eq!(breaker.may_try(now), Permit::Probe);
        breaker.report(now, refused());
    }
    now += Duration::from_secs(5);
    assert_eq!(breaker.may_try(now), Permit::Probe);
    assert_eq!(breaker.may_try(now + at(5_000)), Permit::Probe);
}

#[test]
fn ten_deferrals_in_twenty_replies_open_the_breaker() {
    for (deferred, opens) in [(9, false), (10, true)] {
        let mut breaker = Breaker::new("site");
        let signals = (0..WINDOW).map(|n| {
            if n < deferred {
                Signal::Deferred("451 4.3.2 no".into())
            } else {
                Signal::Fine
            }
        });
        // The window is full only with the last one, which is to be a deferral.
        let signals: Vec<Signal> = signals.rev().collect();
        let notices = signals
            .into_iter()
            .filter_map(|signal| breaker.report(at(0), signal))
            .count();
        assert_eq!((breaker.is_open(), notices), (opens, usize::from(opens)));
    }
}

fn sender_refused() -> Signal {
    Signal::SenderRefused("550 5.7.1 no".into())
}

/// How many sender refusals in a row open it after these answers, of which every `nth` was one.
fn row_that_opens(answers: u32, nth: u32) -> u32 {
    let mut breaker = Breaker::new("lane");
    for answer in 1..=answers {
        let is_refused = nth > 0 && answer % nth == 0 && answer < answers;
        let signal = if is_refused {
            sender_refused()
        } else {
            Signal::Fine
        };
        assert_eq!(breaker.report(at(0), signal), None);
    }
    let opens = (1..200).find(|_| breaker.report(at(0), sender_refused()).is_some());
    opens.unwrap()
}

#[test]
fn sender_refusals_open_the_breaker_when_so_many_in_a_row_are_no_chance() {
    assert_eq!(row_that_opens(0, 0), FIRST_REFUSALS);
    assert_eq!(row_that_opens(300, 0), FEWEST_REFUSALS);
    assert_eq!(row_that_opens(200, 4), 15);
    assert_eq!(row_that_opens(200, 2), 30);
}

fn deferred_one() -> Signal {
    Signal::DeferredOne("451 not now".into())
}

#[test]
fn thirty_recipients_that_are_deferred_in_a_row_open_the_breaker() {
    let mut breaker = Breaker::new("site `x.example`");
    for _ in 1..FIRST_DEFERRALS {
        assert_eq!(breaker.report(at(0), deferred_one()), None);
    }
    assert!(breaker.report(at(0), deferred_one()).is_some());
    // A probe that is deferred, whatever the words, is no sign that the site works.
    assert_eq!(breaker.may_try(at(1_000)), Permit::Probe);
    assert_eq!(breaker.report(at(1_000), deferred_one()), None);
    assert_eq!(breaker.may_try(at(1_000)), Permit::Wait(at(3_000)));
    assert_eq!(breaker.may_try(at(3_000)), Permit::Probe);
    assert!(breaker.report(at(3_000), Signal::Fine).is_some());
    assert!(!breaker.is_open());
}

#[test]
fn deferred_recipients_among_others_are_no_trouble() {
    let mut breaker = Breaker::new("site `x.example`");
    for _ in 0..1_000 {
        for _ in 0..9 {
            assert_eq!(breaker.report(at(0), deferred_one()), None);
        }
        assert_eq!(breaker.report(at(0), Signal::Fine), None);
    }
}

#[test]
fn a_deferred_recipient_does_not_keep_a_site_paused_that_was_away() {
    let mut breaker = Breaker::new("site `x.example`");
    breaker.report(at(0), refused());
    assert_eq!(breaker.may_try(at(1_000)), Permit::Probe);
    assert!(breaker.report(at(1_000), deferred_one()).is_some());
    assert!(!breaker.is_open());
}

#[test]
fn a_quarter_of_refusals_at_random_is_no_trouble() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut breaker = Breaker::new("lane");
    for _ in 0..200_000 {
        let is_refused = random.u32(..100) < 25;
        let signal = if is_refused {
            sender_refused()
        } else {
            Signal::Fine
        };
        assert_eq!(breaker.report(at(0), signal), None);
    }
}

#[test]
fn what_we_send_is_probed_with_several_messages_a_minute() {
    let mut breaker = Breaker::new("lane");
    (0..FIRST_REFUSALS).for_each(|_| {
        breaker.report(at(0), sender_refused());
    });
    assert_eq!(breaker.may_try(at(0)), Permit::Wait(SENDER_PROBE));
    let due = SENDER_PROBE;
    assert_eq!(breaker.probes(due), SENDER_PROBES);
    for _ in 0..SENDER_PROBES {
        assert!(!breaker.is_holding(due));
        assert_eq!(breaker.may_try(due), Permit::Probe);
    }
    assert!(breaker.is_holding(due));
    for _ in 1..SENDER_PROBES {
        assert_eq!(breaker.report(due, sender_refused()), None);
    }
    assert!(breaker.is_open());
    assert_eq!(breaker.report(due, sender_refused()), None);
    assert_eq!(breaker.may_try(due), Permit::Wait(due * 2));
    assert_eq!(breaker.may_try(due * 2), Permit::Probe);
    assert!(breaker.report(due * 2, Signal::Fine).is_some());
}

#[test]
fn a_refusal_of_one_message_is_no_trouble_while_others_are_taken() {
    let refusal = || Signal::RefusedOne("421 4.3.2 not you".into());
    let mut breaker = Breaker::new("relay");
    breaker.report(at(0), Signal::Fine);
    for _ in 0..RECENT {
        assert_eq!(breaker.report(at(0), refusal()), None);
    }
    assert!(breaker.report(at(0), refusal()).is_some());
    assert!(Breaker::new("new").report(at(0), refusal()).is_some());
}

#[test]
fn an_outage_before_is_no_refused_login() {
    let mut breaker = Breaker::new("relay");
    breaker.report(at(0), refused());
    for second in [1, 3, 8] {
        assert_eq!(breaker.may_try(at(second * 1_000)), Permit::Probe);
        breaker.report(at(second * 1_000), refused());
    }
    assert_eq!(breaker.may_try(at(13_000)), Permit::Probe);
    assert!(breaker.report(at(13_000), Signal::Fine).is_some());
    let login = Signal::LoginRefused(LoginProblem::Refused, "535 5.7.8 no".into());
    assert!(breaker.report(at(14_000), login).is_some());
    assert_eq!(breaker.login_refusals(), 1);
}

#[test]
fn a_relapse_continues_with_longer_waits() {
    let mut breaker = Breaker::new("relay");
    let mut now = at(0);
    for wait in [1, 2, 5, 5] {
        breaker.report(now, refused());
        now += Duration::from_secs(wait);
        assert_eq!(breaker.may_try(now), Permit::Probe);
        assert!(breaker.report(now, Signal::Fine).is_some());
    }
    now += RELAPSE;
    breaker.report(now, refused());
    assert_eq!(breaker.may_try(now), Permit::Wait(now + at(1_000)));
}

#[test]
fn a_refused_login_is_tried_seldom_and_counted() {
    let refused = || Signal::LoginRefused(LoginProblem::Refused, "535 5.7.8 no".into());
    let mut breaker = Breaker::new("relay `mx:587`");
    let notice = breaker.report(at(0), refused()).unwrap().to_string();
    assert_eq!(
        notice,
        "relay `mx:587` refuses our login: 535 5.7.8 no; it is tried again after 5s, 30s, 2m, then every 15m"
    );
    let mut now = at(0);
    for (refusals, wait) in [(1, 5), (2, 30), (3, 120), (4, 900), (5, 900)] {
        assert_eq!(breaker.login_refusals(), refusals);
        let next = now + Duration::from_secs(wait);
        assert_eq!(breaker.may_try(now), Permit::Wait(next));
        now = next;
        assert_eq!(breaker.may_try(now), Permit::Probe);
        assert_eq!(breaker.report(now, refused()), None);
    }
    // The server goes away, and is back with the same answer: counted anew.
    now += Duration::from_secs(900);
    assert_eq!(breaker.may_try(now), Permit::Probe);
    assert_eq!(breaker.report(now, Signal::Refused("gone".into())), None);
    assert_eq!(breaker.login_refusals(), 0);
    assert_eq!(breaker.may_try(now), Permit::Wait(now + at(1_000)));
    assert_eq!(breaker.may_try(now + at(1_000)), Permit::Probe);
    assert!(breaker.report(now + at(1_000), refused()).is_some());
    assert_eq!(breaker.login_refusals(), 1);
}

#[test]
fn signals_of_attempts() {
    let reply = Reply {
        code: 250,
        enhanced: None,
        text: "ok".into(),
    };
    let delivered = Attempt::Delivered(reply);
    assert_eq!(Signal::of(&delivered, Trouble::None), Some(Signal::Fine));
    let lost = Attempt::NotSent { why: "old".into() };
    assert_eq!(Signal::of(&lost, Trouble::None), None);
    let unanswered = Attempt::Unanswered {
        cause: UnansweredCause::ConnectionLost,
        why: "gone".into(),
    };
    let told = Signal::of(&unanswered, Trouble::Relay);
    assert_eq!(told, Some(Signal::Refused("gone".into())));
}

proptest! {
    /// However long the relay is away, at whatever moment it returns: the first message after at most 10 s, and
    /// while it was away a probe each second at most, each 5 s at least.
    #[test]
    fn an_outage_ends_within_ten_seconds(away_ms in 1u64..7_200_000, asks in 1u64..700) {
        let mut breaker = Breaker::new("relay");
        breaker.report(at(0), refused());
        let (mut now, mut probes) = (0, 0u64);
        loop {
            now += asks;
            if breaker.may_try(at(now)) == Permit::Probe {
                probes += 1;
                if now >= away_ms {
                    breaker.report(at(now), Signal::Fine);
                    break;
                }
                breaker.report(at(now), refused());
            }
        }
        prop_assert!(now - away_ms <= 10_000);
        prop_assert!(probes <= now / 1_000 && probes >= now / 6_000);
        prop_assert_eq!(breaker.may_try(at(now)), Permit::Go);
    }
}

#[test]
fn a_pause_lasts_as_long_as_the_reply_asks_for() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let asks = |text: &str| Signal::Refused(format!("421 4.7.0 {text}"));
    let mut breaker = Breaker::new("relay");
    breaker.report(at(0), asks("too many messages, try again in 5 minutes"));
    assert_eq!(breaker.may_try(at(1_000)), Permit::Wait(minutes(5)));
    assert_eq!(breaker.may_try(minutes(5)), Permit::Probe);
    breaker.report(minutes(5), asks("Try again in 10 minutes"));
    assert_eq!(breaker.may_try(minutes(6)), Permit::Wait(minutes(15)));
    assert_eq!(breaker.may_try(minutes(15)), Permit::Probe);
    breaker.report(minutes(15), asks("try again in 20 hours"));
    let most = minutes(15) + LONGEST_ASKED;
    assert_eq!(breaker.may_try(minutes(16)), Permit::Wait(most));
    assert_eq!(breaker.may_try(most), Permit::Probe);
    breaker.report(most, asks("busy"));
    assert_eq!(breaker.may_try(most), Permit::Wait(most + at(5_000)));
}
