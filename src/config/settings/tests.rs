//! Layers, defaults and errors of the settings, as tables.

// A table of cases is long and reads well.
#![allow(clippy::too_many_lines)]

use super::*;
use crate::config::keys::{Auth, RelayKeys};
use crate::config::secret::PasswordSource;
use crate::domain::rate::Rate;
use crate::smtp::TlsPolicy;

fn read(file: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Settings, ConfigError> {
    let document = Document::parse(file, "mailq.toml".into(), &PROJECT)?;
    let project = Project {
        root: "/project".into(),
        file: None,
    };
    let variables = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    Settings::of(&document, &project, &flags, &variables)
}

#[test]
fn the_highest_layer_wins_and_is_shown() {
    let file = "[send]\nrate = \"1/s\"\n";
    let variable = [("MAILQ_RATE", "2/s")];
    let flag = || Flags::default().set(SendKeys::rate(), Some("3/s"));
    for (file, variables, flags, rate, source) in [
        ("", &[][..], Flags::default(), "30/min", "default"),
        (file, &[], Flags::default(), "1/s", "mailq.toml:2"),
        (file, &variable, Flags::default(), "2/s", "MAILQ_RATE"),
        ("", &variable, Flags::default(), "2/s", "MAILQ_RATE"),
        (file, &variable, flag(), "3/s", "--rate"),
        (
            "",
            &[("MAILQ_RATE", "")],
            Flags::default(),
            "30/min",
            "default",
        ),
    ] {
        let settings = read(file, variables, flags).unwrap();
        assert_eq!(settings.send.rate.value.to_string(), rate);
        assert_eq!(settings.send.rate.source.to_string(), source);
        let origin = settings
            .origins
            .iter()
            .find(|o| o.key == "send.rate")
            .unwrap();
        assert_eq!(
            (origin.value.as_str(), origin.source.to_string()),
            (rate, source.into())
        );
    }
}

#[test]
fn defaults_are_those_of_the_keys() {
    let settings = read("", &[], Flags::default()).unwrap();
    assert_eq!(
        settings.queue.to_string(),
        "sqlite:/project/.mailq/queue.db"
    );
    assert_eq!(settings.key_file, PathBuf::from("/project/.mailq/key"));
    assert_eq!(
        (settings.env.as_str(), settings.lease.as_secs()),
        ("prod", 5)
    );
    assert_eq!(settings.send.connections, 20);
    assert_eq!(
        (settings.send.max_uncommitted, settings.send.burst),
        (64, 1)
    );
    assert_eq!(settings.retry, RetrySchedule::default());
    assert_eq!(settings.events.keep.as_secs(), 90 * 86_400);
    assert!(settings.relays.is_empty());
}

#[test]
fn relays_from_variables_replace_those_of_the_file() {
    let file =
        "[[relay]]\nurl = \"smtp://mx:587\"\nuser = \"file\"\npassword_env = \"P\"\nweight = 3\n";
    let settings = read(file, &[], Flags::default()).unwrap();
    let relay = settings.relays.first().unwrap();
    assert_eq!(relay.user.as_deref(), Some("file"));
    assert_eq!(relay.password, Some(PasswordSource::Variable("P".into())));
    assert_eq!((relay.keys.weight.get(), relay.keys.pipelining), (3, true));
    assert_eq!(relay.keys.auth, Auth(None));

    let login = [
        ("EMAIL_SMTP_HOST", "smtp.qq.com"),
        ("SMTP_PORT", "465"),
        ("SMTP_USER", "me@qq.com"),
        ("EMAIL_SMTP_PASS", "hunter2"),
        ("MAX_WORKERS", "7"),
    ];
    let settings = read(file, &login, Flags::default()).unwrap();
    let [relay] = settings.relays.as_slice() else {
        panic!("one relay: {:?}", settings.relays);
    };
    let RelayAddress::Server(server) = &relay.keys.url.value else {
        panic!("no server: {relay:?}");
    };
    let found = (server.host.as_str(), server.port, server.tls);
    assert_eq!(found, ("smtp.qq.com", 465, TlsPolicy::Implicit));
    assert_eq!(relay.user.as_deref(), Some("me@qq.com"));
    assert_eq!(
        relay.password,
        Some(PasswordSource::Variable("EMAIL_SMTP_PASS".into()))
    );
    assert_eq!(settings.send.connections, 7);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_relay_of_the_file_ignores_the_login_of_variables() {
    let login = [("SMTP_USER", "me"), ("SMTP_PASS", "hunter2")];
    let file = "[[relay]]\nurl = \"smtp://mx:587\"\n";
    let settings = read(file, &login, Flags::default()).unwrap();
    let relay = settings.relays.first().unwrap();
    assert_eq!((relay.user.as_deref(), &relay.password), (None, &None));

    let by_flag = Flags::default().set(RelayKeys::url(), Some("smtp://other"));
    let settings = read(file, &login, by_flag).unwrap();
    assert_eq!(settings.relays.first().unwrap().user.as_deref(), Some("me"));

    let same = Flags::default().set(RelayKeys::url(), Some("smtp://mx:587"));
    let named = format!("{file}user = \"file\"\n");
    let settings = read(&named, &login, same).unwrap();
    assert_eq!(
        settings.relays.first().unwrap().user.as_deref(),
        Some("file")
    );
}

#[test]
fn paths_are_relative_to_the_project_or_the_working_directory() {
    let here = std::env::current_dir().unwrap();
    let file = "queue = \"sqlite:q.db\"\n[[relay]]\nurl = \"maildir:outbox\"\n";
    let settings = read(file, &[], Flags::default()).unwrap();
    assert_eq!(settings.queue, QueueUrl::Sqlite("/project/q.db".into()));
    assert_eq!(
        settings.relays.first().unwrap().keys.url.value.to_string(),
        "maildir:/project/outbox"
    );
    assert_eq!(
        settings.send.rate.value,
        Rate::Unlimited,
        "an outbox needs no limit"
    );
    let flags = Flags::default().set(ProjectKeys::queue(), Some("sqlite:q.db"));
    let settings = read(file, &[], flags).unwrap();
    assert_eq!(settings.queue, QueueUrl::Sqlite(here.join("q.db")));
}

#[test]
fn shows_a_wrong_value_with_its_source() {
    for (file, variables, error) in [
        (
            "[send]\nrate = \"30\"",
            &[][..],
            "mailq.toml:2:8: `send.rate` is `30`: not a rate like",
        ),
        (
            "",
            &[("MAILQ_RATE", "fast")],
            "MAILQ_RATE: `send.rate` is `fast`: not a rate",
        ),
        (
            "[send]\nburst = 0",
            &[],
            "mailq.toml:2:9: `send.burst` is `0`: not a whole number from 1",
        ),
        (
            "env = \"Prod\"",
            &[],
            "mailq.toml:1:7: `env` is `Prod`: not up to 32",
        ),
        (
            "lease = \"1h\"",
            &[],
            "mailq.toml:1:9: `lease` is `1h`: not between",
        ),
        (
            "queue = \"mysql:x\"",
            &[],
            "mailq.toml:1:9: `queue` is `mysql:x`: not a queue like",
        ),
        (
            "[retry]\ninitial = \"1h\"",
            &[],
            "default: `retry.max` is `30m`: shorter than `retry.initial`",
        ),
        (
            "[[relay]]\nuser = \"x\"",
            &[],
            "mailq.toml:1:1: `url` is missing",
        ),
        (
            "[[relay]]\nurl = \"smtp://a:hunter2@mx\"",
            &[],
            "mailq.toml:2:7: the relay URL contains a password",
        ),
        (
            "[[relay]]\nurl = \"smtp://mx\"\nuser = \"a\"\npassword_env = \"A\"\npassword_file = \"b\"",
            &[],
            "mailq.toml:5:17: `password_env` and `password_file` are both set",
        ),
        (
            "[site.\"a b\"]\nrate = \"1/s\"",
            &[],
            "mailq.toml:1:7: `site.\"a b\"` is not a domain",
        ),
        (
            "",
            &[("SMTP_HOST", "mx"), ("SMTP_PORT", "x")],
            "SMTP_PORT: `port` is `x`: not a port",
        ),
        (
            "",
            &[("MAX_WORKERS", "many")],
            "MAX_WORKERS: `send.connections` is `many`: not a whole",
        ),
    ] {
        let found = read(file, variables, Flags::default())
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(error), "{file:?} {variables:?}: {found}");
        assert!(!found.contains("hunter2"));
    }
}

#[test]
fn flags_win_over_properties_of_the_file_and_secrets_stay_hidden() {
    let file = "queue = \"kafka://a:9092,b:9092\"\n[kafka]\npartitions = 6\nsasl_password_env = \"PW\"\n\
                properties = { \"security.protocol\" = \"SASL_SSL\", \"ssl.key.pem\" = \"geheim\" }\n";
    let given = ["security.protocol=SASL_PLAINTEXT".to_string()];
    let settings = read(file, &[], Flags::default().properties(&given)).unwrap();
    assert_eq!(settings.queue.to_string(), "kafka://a:9092,b:9092");
    let variables = [("PW".to_string(), "hunter2".to_string())].into_iter();
    let properties = settings.kafka.properties(&variables.collect()).unwrap();
    assert_eq!(properties["security.protocol"], "SASL_PLAINTEXT");
    assert_eq!(properties["sasl.password"], "hunter2");
    assert_eq!(properties["ssl.key.pem"], "geheim");
    let shown = format!("{settings:?}");
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(shown.contains("-X"), "{shown}");
    let none = settings
        .kafka
        .properties(&Variables::default())
        .unwrap_err();
    assert_eq!(
        none.to_string(),
        "no `sasl.password`: variable `PW` is not set"
    );
}

#[test]
fn refuses_secrets_and_malformed_properties_for_a_cluster() {
    let cluster = "queue = \"kafka://a:9092\"\n";
    for (file, given, error) in [
        (
            cluster,
            "sasl.password=geheim",
            "`-X sasl.password` is a secret",
        ),
        (cluster, "acks", "`-X acks` is not `key=value`"),
        ("", "a=b", "`-X` is for a queue on Kafka"),
        (
            "queue = \"kafka://me:geheim@a\"\n",
            "",
            "mailq.toml:1:9: `queue` has a login in it",
        ),
        (
            "[kafka]\nsasl_password_env = \"A\"\nsasl_password_file = \"b\"\n",
            "",
            "mailq.toml:3:22: `sasl_password_env` and `sasl_password_file` are both set",
        ),
    ] {
        let given: Vec<String> = (!given.is_empty())
            .then(|| given.to_string())
            .into_iter()
            .collect();
        let found = read(file, &[], Flags::default().properties(&given)).unwrap_err();
        let text = found.to_string();
        assert!(text.starts_with(error), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}
