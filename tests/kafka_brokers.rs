//! The brokers that the tests use: do they start, come back after a kill, refuse clients without a password, and end
//! with the test process?

use mailq_testkit::kafka::{self, Cluster, Listener, NEWEST, OLDEST, Options, wait_for};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many brokers the cluster lists for a client with these properties.
fn named(brokers: &str, properties: &[(&str, &str)]) -> KafkaResult<usize> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (key, value) in properties {
        config.set(*key, *value);
    }
    let client: BaseConsumer = config.create()?;
    let metadata = client.fetch_metadata(None, Duration::from_secs(10))?;
    Ok(metadata.brokers().len())
}

fn skipped() -> bool {
    let why = kafka::missing();
    if let Some(why) = &why {
        println!("skipped: {why}");
    }
    why.is_some()
}

#[test]
fn shared_brokers_have_the_requested_version() {
    if skipped() {
        return;
    }
    for version in [NEWEST, OLDEST] {
        let cluster = kafka::shared(version);
        assert_eq!(named(&cluster.brokers(), &[]).unwrap(), 1);
        assert!(std::ptr::eq(cluster, kafka::shared(version)));
        let process = cluster.process(1).expect("it runs");
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains(&format!("/kafka/{version}/jars/")), "{line}");
    }
}

#[test]
fn one_of_three_brokers_may_be_killed_and_comes_back() {
    if skipped() {
        return;
    }
    let cluster = Cluster::start(3, &Options::default());
    assert_eq!(named(&cluster.brokers(), &[]).unwrap(), 3);
    let first = cluster.coordinator_of("prod.mail");
    cluster.wait_in_sync();
    cluster.kill(first);
    assert_eq!(cluster.process(first), None);
    let next = wait_for("another coordinator", || {
        let now = cluster.coordinator_of("prod.mail");
        (now != first).then_some(now)
    });
    assert!(cluster.process(next).is_some());
    cluster.start_again(first);
    cluster.wait_in_sync();
    assert_eq!(named(&cluster.brokers(), &[]).unwrap(), 3);
    cluster.pause(2);
    let only = format!("127.0.0.1:{}", cluster.port(2, Listener::Open));
    assert!(named(&only, &[("socket.timeout.ms", "1000")]).is_err());
    cluster.cont(2);
    wait_for("an answer of the node that was stopped", || {
        named(&only, &[]).ok()
    });
}

#[test]
fn secure_listeners_check_passwords_and_certificates() {
    if skipped() {
        return;
    }
    let options = Options {
        secure: true,
        ..Options::default()
    };
    let cluster = Cluster::start(1, &options);
    let authority = cluster.authority().display().to_string();
    let (certificate, key) = cluster.client_certificate();
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let sasl = cluster.brokers_at(Listener::SaslTls);
    for (mechanism, password, let_in) in [
        ("SCRAM-SHA-256", kafka::PASSWORD, true),
        ("SCRAM-SHA-512", kafka::PASSWORD, true),
        ("PLAIN", kafka::PASSWORD, true),
        ("SCRAM-SHA-512", "wrong", false),
    ] {
        let properties = [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", authority.as_str()),
            ("sasl.mechanisms", mechanism),
            ("sasl.username", kafka::USER),
            ("sasl.password", password),
        ];
        let answer = named(&sasl, &properties);
        assert_eq!(answer.is_ok(), let_in, "{mechanism} {password}: {answer:?}");
    }
    let tls = cluster.brokers_at(Listener::Tls);
    let with = [
        ("security.protocol", "ssl"),
        ("ssl.ca.location", authority.as_str()),
        ("ssl.certificate.location", certificate.as_str()),
        ("ssl.key.location", key.as_str()),
    ];
    assert_eq!(named(&tls, &with).unwrap(), 1);
    assert!(named(&tls, &with[..2]).is_err());
}

/// The process that the next test kills: it writes down where its broker is, and waits.
#[test]
#[ignore = "run by brokers_end_with_a_killed_test"]
fn holds_a_broker() {
    let cluster = Cluster::start(1, &Options::default());
    let place = std::env::var_os("MAILQ_HELD").expect("a file to write to");
    let process = cluster.process(1).expect("it runs");
    let said = format!("{process} {}", cluster.folder().display());
    let partial = PathBuf::from(&place).with_extension("partial");
    std::fs::write(&partial, said).unwrap();
    std::fs::rename(partial, place).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn brokers_end_with_a_killed_test() {
    if skipped() {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let place = folder.path().join("held");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kafka_brokers::holds_a_broker"])
        .env("MAILQ_HELD", &place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let said = wait_for("a broker of the other process", || {
        std::fs::read_to_string(&place).ok()
    });
    let (process, data) = said.split_once(' ').unwrap();
    let process = Path::new("/proc").join(process);
    assert!(process.exists() && Path::new(data).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_for("nothing is left", || {
        (!process.exists() && !Path::new(data).exists()).then_some(())
    });
}
