//! The file `relay.script`: what the relay offers, a word or two a line, and its rules
//! (`crates/testkit/src/relay/behaviour.rs`).

use mailq_testkit::relay::behaviour::{Behaviour, Rule, Style};
use mailq_testkit::relay::certificate::{self, Certificate};

pub struct Script {
    pub behaviour: Behaviour,
    /// The relay is not there before `start-relay`.
    pub is_down: bool,
    /// What `ca_file` may name: trusted, though it may have expired or be another's.
    pub trusted: Option<String>,
}

pub fn parse(text: &str) -> Result<Script, String> {
    let mut script = Script {
        behaviour: Behaviour {
            keeps_content: true,
            ..Behaviour::default()
        },
        is_down: false,
        trusted: None,
    };
    for line in text.lines().map(str::trim) {
        if !line.is_empty() && !line.starts_with('#') && !option(line, &mut script)? {
            script.behaviour.rules.push(Rule::parse(line)?);
        }
    }
    Ok(script)
}

fn option(line: &str, script: &mut Script) -> Result<bool, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let behaviour = &mut script.behaviour;
    match words.as_slice() {
        ["down"] => script.is_down = true,
        ["no-pipelining"] => behaviour.offers_pipelining = false,
        ["no-ehlo"] => behaviour.knows_ehlo = false,
        ["chunking"] => behaviour.offers_chunking = true,
        ["smtputf8"] => behaviour.offers_smtputf8 = true,
        ["size", bytes] => behaviour.size_limit_bytes = bytes.parse().ok(),
        ["messages-per-connection", most] => {
            behaviour.messages_per_connection = most.parse().ok();
        }
        ["connections-at-once", most] => behaviour.connections_at_once = most.parse().ok(),
        ["limit", most, time] => {
            let time = mailq::domain::duration::parse(time).map_err(|error| error.to_string())?;
            behaviour.limit = most.parse().ok().map(|most| (most, time));
        }
        ["style", "bare"] => behaviour.style = Style::Bare,
        ["style", "multi-line"] => behaviour.style = Style::MultiLine,
        ["style", "latin-1"] => behaviour.style = Style::Latin1,
        ["delay", span] => {
            behaviour.reply_delay =
                mailq::domain::duration::parse(span).map_err(|error| error.to_string())?;
        }
        ["greeting", ..] => behaviour.greeting = words[1..].join(" "),
        ["auth", user, password] => {
            behaviour.login = Some((user.to_string(), password.to_string()));
        }
        ["repeats-login"] => behaviour.repeats_login = true,
        ["starttls", kind] | ["tls", kind] => {
            let certificate = certificate(kind)?;
            behaviour.tls = Some(certificate.server);
            behaviour.tls_is_implicit = words[0] == "tls";
            script.trusted = Some(certificate.pem);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn certificate(kind: &str) -> Result<Certificate, String> {
    Ok(match kind {
        "good" => certificate::good("localhost"),
        "expired" => certificate::expired("localhost"),
        "wrong-name" => certificate::good("elsewhere.example"),
        _ => return Err(format!("`{kind}` is not `good`, `expired` or `wrong-name`")),
    })
}

pub fn reads_options_and_rules() {
    let script =
        parse("# slow\nno-pipelining\nauth me secret\nrcpt * reply 451 4.3.0 no\n").unwrap();
    assert!(!script.behaviour.offers_pipelining);
    assert_eq!(script.behaviour.login, Some(("me".into(), "secret".into())));
    assert_eq!(script.behaviour.rules.len(), 1);
    assert!(parse("starttls broken").is_err() && parse("no-such-option").is_err());
}
