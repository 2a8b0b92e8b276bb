//! What a fake relay offers and how it answers: plain data, made by a test, or read from a script of lines
//! `POINT PATTERN [TIMES] ACTION`, for example `rcpt *@slow.example 2 reply 451 4.3.0 busy` or `dot * close`.

use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;

#[derive(Clone)]
pub struct Behaviour {
    pub greeting: String,
    pub knows_ehlo: bool,
    pub offers_pipelining: bool,
    pub offers_chunking: bool,
    pub offers_smtputf8: bool,
    pub size_limit_bytes: Option<u64>,
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte instead of STARTTLS.
    pub tls_is_implicit: bool,
    /// Written in plain text right behind the answer to STARTTLS, as an attacker on the line would.
    pub injected_after_starttls: &'static str,
    /// User and password without which nobody may mail.
    pub login: Option<(String, String)>,
    pub mechanisms: &'static str,
    /// A refused login is answered with what the client said, encoded and decoded.
    pub repeats_login: bool,
    pub style: Style,
    pub reply_delay: Duration,
    /// Answers DATA with 354 whether there is a recipient or not (RFC 2920 §3.1).
    pub takes_data_without_recipients: bool,
    pub patience: Option<Patience>,
    /// After so many messages MAIL is answered with 452, and the connection stays open.
    pub messages_per_connection: Option<u64>,
    /// While more connections than these are open, each final dot is answered with 432.
    pub connections_at_once: Option<usize>,
    /// So many recipients are taken in this time, counted from the first, and the others are answered with 451.
    pub limit: Option<(u32, Duration)>,
    pub keeps_content: bool,
    pub keeps_commands: bool,
    pub rules: Vec<Rule>,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            greeting: "220 fake.example ESMTP".into(),
            knows_ehlo: true,
            offers_pipelining: true,
            offers_chunking: false,
            offers_smtputf8: false,
            size_limit_bytes: None,
            tls: None,
            tls_is_implicit: false,
            injected_after_starttls: "",
            login: None,
            mechanisms: "PLAIN LOGIN XOAUTH2",
            repeats_login: false,
            style: Style::Plain,
            reply_delay: Duration::ZERO,
            takes_data_without_recipients: false,
            patience: None,
            messages_per_connection: None,
            connections_at_once: None,
            limit: None,
            keeps_content: false,
            keeps_commands: true,
            rules: Vec::new(),
        }
    }
}

/// When a relay hangs up on a client that said EHLO and is silent between messages.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub within: Duration,
    /// Only on connections that carried so many.
    pub after_messages: u64,
    /// The last words; none if empty.
    pub words: &'static str,
}

/// How positive replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// The code and nothing else.
    Bare,
    MultiLine,
    Latin1,
}

/// Where in the conversation a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    Mail,
    Rcpt,
    Data,
    Dot,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Reply(String),
    ReplyAndClose(String),
    Close,
    Stall,
}

/// `pattern` is compared with the recipient (at MAIL: with the return path); one `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub point: Point,
    pub pattern: String,
    /// How often for each recipient; then it is as if the rule were not there.
    pub times: Option<u32>,
    pub action: Action,
}

impl Rule {
    pub fn parse(line: &str) -> Result<Rule, String> {
        let wrong = || format!("`{line}` is not `POINT PATTERN [TIMES] ACTION`");
        let mut words = line.split_whitespace().peekable();
        let point = match words.next() {
            Some("mail") => Point::Mail,
            Some("rcpt") => Point::Rcpt,
            Some("data") => Point::Data,
            Some("dot") => Point::Dot,
            _ => return Err(wrong()),
        };
        let pattern = words.next().ok_or_else(wrong)?.to_string();
        let times = words.peek().and_then(|word| word.parse().ok());
        if times.is_some() {
            words.next();
        }
        let name = words.next().ok_or_else(wrong)?;
        let rest = words.collect::<Vec<_>>().join(" ");
        let action = match name {
            "reply" => Action::Reply(rest),
            "goodbye" => Action::ReplyAndClose(rest),
            "close" => Action::Close,
            "stall" => Action::Stall,
            _ => return Err(wrong()),
        };
        Ok(Rule {
            point,
            pattern,
            times,
            action,
        })
    }

    pub fn parse_all(script: &str) -> Result<Vec<Rule>, String> {
        let lines = script.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(Rule::parse)
            .collect()
    }

    pub fn matches(&self, point: Point, address: &str) -> bool {
        let fits = match self.pattern.split_once('*') {
            None => self.pattern == address,
            Some((start, end)) => {
                address.len() >= start.len() + end.len()
                    && address.starts_with(start)
                    && address.ends_with(end)
            }
        };
        self.point == point && fits
    }
}

/// What the local part of a recipient asks for: a word, `-N` behind it for "only N times", and anything after `+`.
/// (`cut@`, a connection that ends in the middle of the content, is known to the visit itself.)
pub fn rule_of(recipient: &str) -> Option<Rule> {
    let local = recipient.split(['@', '+']).next()?;
    let (word, times) = match local.rsplit_once('-') {
        Some((word, count)) if count.parse::<u32>().is_ok() => (word, count.parse().ok()),
        _ => (local, None),
    };
    let reply = |text: &str| Action::Reply(text.to_string());
    let (point, action) = match word {
        "defer" => (Point::Rcpt, reply("451 4.3.0 try again later")),
        "bounce" => (Point::Rcpt, reply("550 5.1.1 no such user")),
        "full" => (Point::Rcpt, reply("452 4.2.2 mailbox full")),
        "overquota" => (Point::Rcpt, reply("552 5.2.2 over quota")),
        "refuse-data-command" => (Point::Data, reply("554 5.7.0 no data from you")),
        "refuse-data" => (Point::Dot, reply("550 5.7.1 refused by policy")),
        "defer-data" => (Point::Dot, reply("451 4.7.1 greylisted")),
        "drop-before" => (Point::Data, Action::Close),
        "drop-after-data" => (Point::Dot, Action::Close),
        "junk" => (Point::Rcpt, reply("banana")),
        "junk-dot" => (Point::Dot, reply("banana")),
        "421" => (Point::Rcpt, goodbye()),
        "421-dot" => (Point::Dot, goodbye()),
        "stall" => (Point::Rcpt, Action::Stall),
        "stall-dot" => (Point::Dot, Action::Stall),
        _ => return None,
    };
    Some(Rule {
        point,
        pattern: recipient.to_string(),
        times,
        action,
    })
}

fn goodbye() -> Action {
    Action::ReplyAndClose("421 4.3.2 closing".to_string())
}
