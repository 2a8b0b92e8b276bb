//! Connections that wait: for a message, for their limit, or that are given up.

use super::feeds::{List, converse, message, relay, settings, short, why};
use mailq::smtp::{SessionEnd, open};
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::{Behaviour, Patience};
use std::num::NonZeroU64;
use std::time::Duration;

#[tokio::test(flavor = "current_thread")]
async fn a_closed_idle_connection_is_no_failure() {
    for (words, code) in [("", None), ("421 4.4.2 idle too long", Some(421))] {
        let fake = FakeRelay::start(Behaviour {
            patience: Some(Patience {
                within: Duration::from_millis(50),
                after_messages: 1,
                words,
            }),
            ..Behaviour::default()
        });
        let list = List::to(&["a@x.example"]);
        list.waits_at_the_end.set(true);
        let end = converse(&fake, &list).await;
        assert_eq!(list.summary(), ["delivered"]);
        let SessionEnd::Reconnect { reply, .. } = end else {
            panic!("{end:?}");
        };
        assert_eq!(reply.map(|reply| reply.code), code);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_closed_before_the_first_message_is_a_failure() {
    let fake = FakeRelay::start(Behaviour {
        patience: Some(Patience {
            within: Duration::from_millis(1),
            after_messages: 0,
            words: "421 4.7.0 too many connections",
        }),
        ..Behaviour::default()
    });
    let list = List::default();
    list.waits_at_the_end.set(true);
    let end = converse(&fake, &list).await;
    assert!(
        matches!(end, SessionEnd::Failed { reply: Some(_), .. }),
        "{end:?}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_carries_at_most_its_maximum_of_messages() {
    for offers_pipelining in [true, false] {
        let fake = FakeRelay::start(Behaviour {
            offers_pipelining,
            ..Behaviour::default()
        });
        let mut settings = settings(&fake.url());
        settings.max_messages_per_connection = NonZeroU64::new(2);
        let relay = open(settings).unwrap();
        let list = List::to(&["a@x.example"; 5]);
        let mut ends = Vec::new();
        while list.attempts.borrow().len() < 5 {
            ends.push(relay.run_session(&list).await);
        }
        assert!(matches!(ends[0], SessionEnd::Reconnect { .. }), "{ends:?}");
        assert_eq!(list.summary(), ["delivered"; 5]);
        let log = fake.log();
        assert_eq!(log.connections, 3);
        for number in 1..=3 {
            let carried = log
                .accepted
                .iter()
                .filter(|message| message.connection == number);
            assert!(carried.count() <= 2);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_dropped_session_reports_its_messages() {
    let stalls = [
        ("stall@x.example", "not sent"),
        ("stall-dot@x.example", "unanswered"),
    ];
    for (recipient, attempt) in stalls {
        let fake = FakeRelay::start(Behaviour::default());
        let list = List::of(vec![message(0, recipient), message(1, "b@x.example")]);
        let relay = relay(&fake.url());
        {
            let conversation = relay.run_session(&list);
            tokio::pin!(conversation);
            let stalled = async {
                // Until the relay has what it will never answer.
                let wanted = if attempt == "unanswered" { 1 } else { 0 };
                while fake.log().count("RCPT") == 0 || fake.log().accepted.len() < wanted {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                end = &mut conversation => panic!("{}", why(&end)),
                () = stalled => {}
            }
        }
        list.check();
        assert_eq!(short(&list.attempt(0)), attempt);
        assert_eq!(
            list.attempts
                .borrow()
                .get(&1)
                .map(short)
                .unwrap_or("not sent".into()),
            "not sent"
        );
    }
}
