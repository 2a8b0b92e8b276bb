//! The same messages in every mode that a relay may offer come to the same ends, over one connection.

use super::feeds::{List, converse, message, relay, settings};
use bytes::Bytes;
use mailq::domain::outcome::{Attempt, EnhancedCode, Stage};
use mailq::smtp::{Pipelining, SessionEnd, open};
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::{Behaviour, Style};

const MIXED: [&str; 11] = [
    "a@example.org",
    "bounce@example.org",
    "b@example.org",
    "full@example.org",
    "overquota@example.org",
    "refuse-data@example.org",
    "c@example.org",
    "defer-1@example.org",
    "defer-1@example.org",
    "defer-data@example.org",
    "d@example.org",
];
const ENDS: [&str; 11] = [
    "delivered",
    "rcpt_to 550",
    "delivered",
    "rcpt_to 452",
    "rcpt_to 552",
    "final_dot 550",
    "delivered",
    "rcpt_to 451",
    "delivered",
    "final_dot 451",
    "delivered",
];

#[tokio::test(flavor = "current_thread")]
async fn results_are_the_same_in_every_mode() {
    for (pipelining, chunking) in [(true, false), (true, true), (false, false), (false, true)] {
        for style in [Style::Plain, Style::Bare, Style::MultiLine, Style::Latin1] {
            let fake = FakeRelay::start(Behaviour {
                offers_pipelining: pipelining,
                offers_chunking: chunking,
                keeps_content: true,
                style,
                ..Behaviour::default()
            });
            let list = List::to(&MIXED);
            assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
            assert_eq!(list.summary(), ENDS, "{pipelining} {chunking} {style:?}");
            let log = fake.log();
            assert_eq!(log.connections, 1);
            assert_eq!(log.violations, Vec::<String>::new());
            assert_eq!(log.mail_times.len(), MIXED.len());
            assert_eq!(list.begun.borrow().len(), MIXED.len());
            assert_eq!(log.along > 0, pipelining);
            assert_eq!(log.count("BDAT") > 0, pipelining && chunking);
            assert_eq!(log.count("QUIT"), 1);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_relay_receives_the_content_with_a_date_field_in_front() {
    let long: String = (0..30_000)
        .map(|n| format!(".{n} a line that begins with a dot\r\n"))
        .collect();
    for (pipelining, chunking) in [(true, false), (true, true), (false, false)] {
        let fake = FakeRelay::start(Behaviour {
            offers_pipelining: pipelining,
            offers_chunking: chunking,
            keeps_content: true,
            ..Behaviour::default()
        });
        let mut messages: Vec<_> = (0..6).map(|n| message(n, "a@example.org")).collect();
        messages[1].content = Bytes::from(format!("X: y\r\n\r\n{long}")).into();
        messages[3].content = Bytes::from("X: y\r\n\r\nno line end").into();
        messages[4].content = Bytes::new().into();
        let list = List::of(messages.clone());
        assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
        let log = fake.log();
        assert_eq!(log.accepted.len(), 6);
        for (accepted, sent) in log.accepted.iter().zip(&messages) {
            let got = String::from_utf8(accepted.content.clone().unwrap()).unwrap();
            let (date, rest) = got.split_once("\r\n").unwrap();
            assert!(
                date.starts_with("Date: ") && date.ends_with(" +0000"),
                "{date}"
            );
            let mut wanted = String::from_utf8(sent.content.to_vec()).unwrap();
            if !wanted.is_empty() && !wanted.ends_with("\r\n") {
                wanted.push_str("\r\n");
            }
            assert!(rest == wanted, "message {} changed on its way", sent.ticket);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn pipelining_can_be_turned_off() {
    let fake = FakeRelay::start(Behaviour::default());
    let list = List::to(&["a@x.example", "b@x.example", "c@x.example"]);
    let mut settings = settings(&fake.url());
    settings.pipelining = Pipelining::Off;
    assert_eq!(
        open(settings).unwrap().run_session(&list).await,
        SessionEnd::Finished
    );
    assert_eq!(list.summary(), ["delivered"; 3]);
    assert_eq!(fake.log().along, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn sends_a_lone_dot_after_data_without_recipients() {
    let fake = FakeRelay::start(Behaviour {
        takes_data_without_recipients: true,
        ..Behaviour::default()
    });
    let list = List::to(&[
        "a@x.example",
        "bounce@x.example",
        "b@x.example",
        "bounce@x.example",
    ]);
    assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
    assert_eq!(
        list.summary(),
        ["delivered", "rcpt_to 550", "delivered", "rcpt_to 550"]
    );
    let log = fake.log();
    assert_eq!(log.violations, Vec::<String>::new());
    assert_eq!((log.connections, log.accepted.len()), (1, 2));
}

#[tokio::test(flavor = "current_thread")]
async fn falls_back_to_helo() {
    let fake = FakeRelay::start(Behaviour {
        knows_ehlo: false,
        ..Behaviour::default()
    });
    let list = List::to(&MIXED);
    assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
    assert_eq!(list.summary(), ENDS);
    assert_eq!(fake.log().count("HELO CLIENT.EXAMPLE"), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn keeps_the_text_of_replies() {
    let fake = FakeRelay::start(Behaviour::default());
    let list = List::to(&["bounce@x.example"]);
    converse(&fake, &list).await;
    let Attempt::Rejected { stage, reply } = list.attempt(0) else {
        panic!("not rejected");
    };
    assert_eq!(
        (stage, reply.enhanced),
        (Stage::RcptTo, Some(EnhancedCode(5, 1, 1)))
    );
    assert_eq!(reply.to_string(), "550 5.1.1 no such user");
}

#[tokio::test(flavor = "current_thread")]
async fn does_not_begin_a_message_that_cannot_be_sent() {
    let fake = FakeRelay::start(Behaviour {
        size_limit_bytes: Some(400),
        ..Behaviour::default()
    });
    let mut messages: Vec<_> = (0..7).map(|n| message(n, "a@x.example")).collect();
    messages[1].content = Bytes::from(vec![b'x'; 500]).into();
    messages[2].content =
        Bytes::from("a: b\r\n\r\nbare\nline feed\r\n.\r\nMAIL FROM:<x>\r\n").into();
    messages[3].recipient = "a@x.example>\r\nRCPT TO:<b@x.example".into();
    messages[4].return_path = "a b@x.example".into();
    messages[5].recipient = "b\u{fc}ro@x.example".into();
    let list = List::of(messages);
    assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
    let wanted = [
        "delivered",
        "mail_from 552",
        "data 554",
        "rcpt_to 501",
        "mail_from 501",
        "rcpt_to 553",
        "delivered",
    ];
    assert_eq!(list.summary(), wanted);
    assert_eq!(*list.begun.borrow(), [0, 6]);
    let log = fake.log();
    assert_eq!((log.mail_times.len(), log.connections), (2, 1));
    assert!(log.commands.iter().any(|(_, line)| line.contains(" SIZE=")));
}

#[tokio::test(flavor = "current_thread")]
async fn uses_smtputf8_only_if_an_address_needs_it() {
    let fake = FakeRelay::start(Behaviour {
        offers_smtputf8: true,
        ..Behaviour::default()
    });
    let list = List::to(&["a@x.example", "b\u{fc}ro@x.example"]);
    assert_eq!(converse(&fake, &list).await, SessionEnd::Finished);
    assert_eq!(list.summary(), ["delivered"; 2]);
    let log = fake.log();
    let asked = log
        .commands
        .iter()
        .filter(|(_, line)| line.ends_with("SMTPUTF8"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_probe_returns_the_capabilities() {
    let fake = FakeRelay::start(Behaviour {
        size_limit_bytes: Some(1_000),
        offers_chunking: true,
        ..Behaviour::default()
    });
    let offers = relay(&fake.url()).probe().await.unwrap();
    assert_eq!(offers.greeting, "fake.example ESMTP");
    assert_eq!(
        (offers.size, offers.pipelining, offers.chunking),
        (Some(1_000), true, true)
    );
    assert_eq!((offers.tls, offers.authenticated), (None, false));
    assert_eq!(fake.log().mail_times.len(), 0);
}
