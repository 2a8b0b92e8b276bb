//! Relays that fail at every stage: what is known of each message afterwards, and no more than that.

use super::feeds::{List, converse, message, patient, relay, settings, stage_of, why};
use bytes::Bytes;
use mailq::domain::outcome::{Attempt, Stage, UnansweredCause};
use mailq::smtp::{SessionEnd, Timeouts, open};
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::{Action, Behaviour, Point, Rule};
use std::time::Duration;

/// With and without PIPELINING, and with CHUNKING.
fn modes() -> [Behaviour; 3] {
    let with = |offers_pipelining, offers_chunking| Behaviour {
        offers_pipelining,
        offers_chunking,
        ..Behaviour::default()
    };
    [with(true, false), with(false, false), with(true, true)]
}

/// The second of three messages meets the fault.
async fn second_of_three(behaviour: Behaviour, recipient: &str) -> (Vec<String>, SessionEnd, List) {
    let fake = FakeRelay::start(behaviour);
    let list = List::to(&["a@x.example", recipient, "c@x.example"]);
    let end = converse(&fake, &list).await;
    (list.summary(), end, list)
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_lost_after_the_final_dot_leaves_one_message_in_doubt() {
    for behaviour in modes() {
        let is_pipelined = behaviour.offers_pipelining;
        let (ends, end, list) = second_of_three(behaviour, "drop-after-data@x.example").await;
        assert_eq!(ends.get(..2).unwrap(), ["delivered", "unanswered"]);
        assert_eq!(stage_of(&end), Some(Stage::FinalDot));
        let told = Attempt::Unanswered {
            cause: UnansweredCause::ConnectionLost,
            why: "connection lost after the final dot".into(),
        };
        assert_eq!(list.attempt(1), told);
        // The third was on its way with the second, without its dot.
        assert_eq!(
            ends.get(2).map(String::as_str),
            is_pipelined.then_some("not sent")
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_lost_before_the_final_dot_leaves_no_message_in_doubt() {
    for rule in ["data b@* close", "rcpt b@* close", "mail bounces@* 2 close"] {
        for mut behaviour in modes() {
            behaviour.rules = Rule::parse_all(rule).unwrap();
            if behaviour.offers_chunking && rule.starts_with("data") {
                continue;
            }
            let fake = FakeRelay::start(behaviour);
            let list = List::to(&["b@x.example", "c@x.example"]);
            let end = converse(&fake, &list).await;
            // Before a recipient is named nothing is about the message.
            let told = match rule.starts_with("mail") {
                true => "not sent",
                false => "broken off",
            };
            assert_eq!(list.summary(), [told], "{rule}");
            assert!(matches!(end, SessionEnd::Failed { .. }), "{rule}");
            assert_eq!(fake.log().accepted.len(), 0);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_421_breaks_off_a_message_and_leaves_the_others_unsent() {
    for recipient in ["421@x.example", "421-dot@x.example"] {
        for behaviour in modes() {
            let (ends, end, _) = second_of_three(behaviour, recipient).await;
            assert_eq!(ends.get(..2).unwrap(), ["delivered", "broken off"]);
            assert!(ends.get(2).is_none_or(|third| third == "not sent"));
            let SessionEnd::Failed {
                reply: Some(reply), ..
            } = end
            else {
                panic!("{end:?}");
            };
            assert_eq!(reply.code, 421);
        }
    }
    for behaviour in modes() {
        let rules = Rule::parse_all("mail * goodbye 421 4.7.0 too many").unwrap();
        let (ends, end, _) = second_of_three(Behaviour { rules, ..behaviour }, "b@x.example").await;
        assert_eq!(ends, ["not sent"]);
        assert_eq!(stage_of(&end), Some(Stage::MailFrom));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn reports_the_stage_of_a_refusal() {
    for behaviour in modes() {
        let rules = Rule::parse_all("mail * 1 reply 550 5.7.1 not from you").unwrap();
        let (ends, end, _) = second_of_three(Behaviour { rules, ..behaviour }, "b@x.example").await;
        assert_eq!(ends, ["mail_from 550", "delivered", "delivered"]);
        assert_eq!(end, SessionEnd::Finished);
    }
    let (ends, end, _) =
        second_of_three(Behaviour::default(), "refuse-data-command@x.example").await;
    assert_eq!(ends, ["delivered", "data 554", "delivered"]);
    assert_eq!(end, SessionEnd::Finished);
}

#[tokio::test(flavor = "current_thread")]
async fn does_not_pipeline_after_an_invalid_reply() {
    for (recipient, second) in [
        ("junk-1@x.example", "broken off"),
        ("junk-dot-1@x.example", "unanswered"),
    ] {
        let fake = FakeRelay::start(Behaviour::default());
        let relay = relay(&fake.url());
        let list = List::to(&[
            "a@x.example",
            recipient,
            "c@x.example",
            "d@x.example",
            "e@x.example",
        ]);
        let end = relay.run_session(&list).await;
        assert!(why(&end).contains("banana"), "{end:?}");
        assert_eq!(super::feeds::short(&list.attempt(1)), second);
        let along = fake.log().along;
        assert!(along > 0);
        assert_eq!(relay.run_session(&list).await, SessionEnd::Finished);
        list.check();
        assert_eq!(fake.log().along, along, "still pipelined after junk");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_silent_relay_times_out_at_its_stage() {
    let short = Duration::from_millis(300);
    let stalls = [
        ("stall@x.example", Stage::RcptTo, "broken off"),
        ("stall-dot@x.example", Stage::FinalDot, "unanswered"),
    ];
    for (recipient, stage, attempt) in stalls {
        let fake = FakeRelay::start(Behaviour::default());
        let mut settings = settings(&fake.url());
        settings.timeouts = Timeouts {
            rcpt_to: if stage == Stage::RcptTo {
                short
            } else {
                patient().rcpt_to
            },
            final_dot: if stage == Stage::FinalDot {
                short
            } else {
                patient().final_dot
            },
            ..patient()
        };
        let list = List::to(&[recipient]);
        let end = open(settings).unwrap().run_session(&list).await;
        assert_eq!(list.summary(), [attempt]);
        assert_eq!(stage_of(&end), Some(stage));
        if let Attempt::Unanswered { cause, why } = list.attempt(0) {
            assert_eq!(cause, UnansweredCause::NoReply);
            assert_eq!(why, "no reply to the final dot within 0.3 s");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_expired_claim_gets_no_final_dot() {
    for behaviour in modes() {
        let is_chunked = behaviour.offers_chunking;
        let fake = FakeRelay::start(behaviour);
        let mut long = message(1, "b@x.example");
        long.content = Bytes::from("0123456789\r\n".repeat(20_000)).into();
        for second in [message(1, "b@x.example"), long] {
            let is_short = second.content.len() < 1_000;
            let mut list = List::of(vec![
                message(0, "a@x.example"),
                second,
                message(2, "c@x.example"),
            ]);
            list.too_old = vec![1];
            let end = converse(&fake, &list).await;
            let ends = list.summary();
            assert_eq!(ends.get(..2).unwrap(), ["delivered", "not sent"]);
            if is_chunked && is_short {
                assert_eq!((ends.len(), end), (3, SessionEnd::Finished));
            } else {
                assert!(matches!(end, SessionEnd::Reconnect { .. }), "{end:?}");
            }
        }
        let accepted = fake.log().accepted;
        assert!(
            accepted
                .iter()
                .all(|message| message.recipients != ["b@x.example"])
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_unavailable_relay_takes_no_message() {
    let port = FakeRelay::start(Behaviour::default()).port();
    let list = List::to(&["a@x.example"]);
    let end = relay(&format!("smtp://127.0.0.1:{port}"))
        .run_session(&list)
        .await;
    assert!(
        matches!(
            end,
            SessionEnd::Unavailable {
                stage: Stage::Connect,
                ..
            }
        ),
        "{end:?}"
    );
    for greeting in ["554 5.7.1 go away", "421 4.3.2 busy", "banana"] {
        let fake = FakeRelay::start(Behaviour {
            greeting: greeting.into(),
            ..Behaviour::default()
        });
        let end = converse(&fake, &list).await;
        let SessionEnd::Unavailable { stage, reply, .. } = end else {
            panic!("{end:?}");
        };
        assert_eq!(stage, Stage::Greeting);
        assert_eq!(reply.is_some(), greeting != "banana");
    }
    assert_eq!(list.taken.borrow().len(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_lost_in_the_content_leaves_no_message_in_doubt() {
    for offers_pipelining in [true, false] {
        let fake = FakeRelay::start(Behaviour {
            offers_pipelining,
            ..Behaviour::default()
        });
        let mut long = message(0, "cut@x.example");
        // More than both sides' socket buffers hold, so the dot cannot have left.
        long.content = Bytes::from("0123456789 0123456789\r\n".repeat(250_000)).into();
        let list = List::of(vec![long, message(1, "b@x.example")]);
        let end = converse(&fake, &list).await;
        assert_eq!(list.summary(), ["broken off"]);
        assert_eq!(stage_of(&end), Some(Stage::Data));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_extra_reply_is_not_the_reply_to_the_final_dot() {
    for behaviour in modes() {
        let code = if behaviour.offers_chunking { 250 } else { 354 };
        let rules = vec![Rule {
            point: if behaviour.offers_chunking {
                Point::Rcpt
            } else {
                Point::Data
            },
            pattern: "b@*".into(),
            times: None,
            action: Action::Reply(format!("{code} ok\r\n250 2.0.0 not for you")),
        }];
        let fake = FakeRelay::start(Behaviour { rules, ..behaviour });
        let list = List::to(&["b@x.example"]);
        let end = converse(&fake, &list).await;
        assert_eq!(list.summary(), ["broken off"]);
        assert!(why(&end).contains("unexpected reply"), "{end:?}");
    }
}
