//! TLS and login: what is verified, what is never said in plain text, and what a refusal looks like.

use super::feeds::{List, patient, relay, settings, stage_of, why};
use mailq::domain::outcome::Stage;
use mailq::smtp::{
    LoginProblem, Mechanism, OpenError, RelaySettings, Secret, SecretSource, SessionEnd, open,
};
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::Behaviour;
use mailq_testkit::relay::certificate::{self, Certificate};
use std::io::Write;

fn secured(certificate: &Certificate) -> Behaviour {
    Behaviour {
        tls: Some(certificate.server.clone()),
        ..Behaviour::default()
    }
}

/// Settings for the fake relay under the name that its certificate has, trusting that certificate.
fn trusting(
    fake: &FakeRelay,
    certificate: &Certificate,
    scheme: &str,
) -> (RelaySettings, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certificate.pem.as_bytes()).unwrap();
    let url = format!("{scheme}://localhost:{}?tls=required", fake.port());
    let mut settings = settings(&url);
    settings.ca_file = Some(file.path().to_path_buf());
    (settings, file)
}

#[tokio::test(flavor = "current_thread")]
async fn sends_mail_over_starttls_and_implicit_tls() {
    let certificate = certificate::good("localhost");
    for (scheme, tls_is_implicit) in [("smtp", false), ("smtps", true)] {
        let fake = FakeRelay::start(Behaviour {
            tls_is_implicit,
            injected_after_starttls: "250-injected\r\n250 SIZE 1\r\n",
            ..secured(&certificate)
        });
        let (settings, _file) = trusting(&fake, &certificate, scheme);
        let relay = open(settings).unwrap();
        let list = List::to(&["a@x.example", "bounce@x.example", "b@x.example"]);
        // Had the injected lines counted, every message would be too large.
        assert_eq!(relay.run_session(&list).await, SessionEnd::Finished);
        assert_eq!(list.summary(), ["delivered", "rcpt_to 550", "delivered"]);
        let offers = relay.probe().await.unwrap();
        assert!(
            offers
                .tls
                .is_some_and(|tls| tls.starts_with("TLSv1.3 TLS13_"))
        );
        let ehlos = if tls_is_implicit { 2 } else { 4 };
        assert_eq!(fake.log().count("EHLO"), ehlos);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn sends_no_mail_to_a_server_with_a_bad_certificate() {
    let other = certificate::good("localhost");
    let cases = [
        (certificate::expired("localhost"), None),
        (certificate::good("elsewhere.example"), None),
        (certificate::of_a_ca("elsewhere.example"), None),
        (certificate::good("localhost"), Some(&other)),
    ];
    for (certificate, trusted) in &cases {
        let fake = FakeRelay::start(secured(certificate));
        let (settings, _file) = trusting(&fake, trusted.unwrap_or(certificate), "smtp");
        let list = List::to(&["a@x.example"]);
        let end = open(settings).unwrap().run_session(&list).await;
        assert!(
            matches!(
                end,
                SessionEnd::Unavailable {
                    stage: Stage::Tls,
                    ..
                }
            ),
            "{end:?}"
        );
        assert!(why(&end).contains("certificate"), "{end:?}");
        assert_eq!(fake.log().mail_times.len(), 0);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn trusts_the_certificate_of_a_ca_that_stands_itself_in_the_file() {
    let certificate = certificate::of_a_ca("localhost");
    let fake = FakeRelay::start(secured(&certificate));
    let (settings, _file) = trusting(&fake, &certificate, "smtp");
    let list = List::to(&["a@x.example"]);
    let end = open(settings).unwrap().run_session(&list).await;
    assert_eq!(end, SessionEnd::Finished);
    assert_eq!(fake.log().mail_times.len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn sends_no_mail_without_required_tls() {
    let fake = FakeRelay::start(Behaviour::default());
    for tls in ["required", "opportunistic"] {
        let list = List::to(&["a@x.example"]);
        let url = format!("smtp://localhost:{}?tls={tls}", fake.port());
        let end = relay(&url).run_session(&list).await;
        if tls == "required" {
            assert_eq!(stage_of(&end), Some(Stage::Tls));
            assert_eq!(fake.log().mail_times.len(), 0);
        } else {
            assert_eq!(end, SessionEnd::Finished);
        }
    }
}

/// An access token ends within the hour, a worker does not.
#[tokio::test(flavor = "current_thread")]
async fn fetches_a_token_for_each_login() {
    let fake = FakeRelay::start(Behaviour {
        login: Some(("me@x.example".into(), "token 2".into())),
        mechanisms: "XOAUTH2",
        ..Behaviour::default()
    });
    let mut settings = settings(&fake.url());
    settings.user = Some("me@x.example".into());
    settings.password = Some(Secret::new("token 0"));
    settings.auth = Some(Mechanism::XOAuth2);
    let fetched = std::sync::atomic::AtomicU32::new(0);
    settings.token = Some(SecretSource::new(move || {
        match fetched.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Err("the vault is closed".to_string()),
            n => Ok(Secret::new(format!("token {n}"))),
        }
    }));
    let relay = open(settings).unwrap();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let list = List::to(&["a@x.example"]);
        ends.push(match relay.run_session(&list).await {
            SessionEnd::Unavailable { stage, why, .. } => format!("{stage:?}: {why}"),
            SessionEnd::LoginRefused { problem, why, .. } => format!("{problem:?}: {why}"),
            end => format!("{end:?}"),
        });
    }
    assert_eq!(ends[0], "Auth: the vault is closed");
    assert!(ends[1].starts_with("Refused: 535"), "{}", ends[1]);
    assert_eq!(ends[2], "Finished");
}

#[tokio::test(flavor = "current_thread")]
async fn answers_the_challenge_of_cram_md5() {
    for (password, is_right) in [("tanstaaftanstaaf", true), ("wrong", false)] {
        let fake = FakeRelay::start(Behaviour {
            login: Some(("tim".into(), "tanstaaftanstaaf".into())),
            mechanisms: "CRAM-MD5",
            ..Behaviour::default()
        });
        let mut settings = settings(&fake.url());
        settings.user = Some("tim".into());
        settings.password = Some(Secret::new(password));
        let list = List::to(&["a@x.example"]);
        let end = open(settings).unwrap().run_session(&list).await;
        assert_eq!(end == SessionEnd::Finished, is_right, "{end:?}");
        assert_eq!(list.summary().len(), usize::from(is_right));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn logs_in_with_plain_login_and_xoauth2_and_reports_a_wrong_password() {
    for (mechanisms, wanted) in [
        ("PLAIN LOGIN", None),
        ("LOGIN", None),
        ("PLAIN LOGIN XOAUTH2", Some(Mechanism::XOAuth2)),
    ] {
        for (password, is_right) in [("s3cr\u{e9}t", true), ("wrong", false)] {
            let fake = FakeRelay::start(Behaviour {
                login: Some(("me@x.example".into(), "s3cr\u{e9}t".into())),
                mechanisms,
                ..Behaviour::default()
            });
            let mut settings = settings(&fake.url());
            settings.user = Some("me@x.example".into());
            settings.password = Some(Secret::new(password));
            settings.auth = wanted;
            let list = List::to(&["a@x.example"]);
            let end = open(settings).unwrap().run_session(&list).await;
            if is_right {
                assert_eq!(
                    (end, list.summary()),
                    (SessionEnd::Finished, vec!["delivered".into()])
                );
            } else {
                let SessionEnd::LoginRefused { problem, reply, .. } = end else {
                    panic!("{end:?}")
                };
                assert_eq!(
                    (problem, reply.map(|reply| reply.code)),
                    (LoginProblem::Refused, Some(535))
                );
                assert_eq!(list.taken.borrow().len(), 0);
            }
        }
    }
}

#[test]
fn refuses_settings_that_cannot_work() {
    let url = "smtp://me@127.0.0.1:25".parse().unwrap();
    let no_password = open(RelaySettings::new(url)).err();
    assert!(matches!(no_password, Some(OpenError::NoPassword { .. })));
    let mut settings = RelaySettings {
        timeouts: patient(),
        ..RelaySettings::new("smtps://127.0.0.1".parse().unwrap())
    };
    settings.ca_file = Some("/does/not/exist.pem".into());
    assert!(matches!(
        open(settings.clone()).err(),
        Some(OpenError::CaFile { .. })
    ));
    settings.helo_name = Some("a\r\nMAIL FROM:<>".into());
    assert!(matches!(open(settings).err(), Some(OpenError::HeloName(_))));
}
