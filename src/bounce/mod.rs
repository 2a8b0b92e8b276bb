//! Classifies refusals: (stage, reply) -> class, reason, scope. Pure. The text takes precedence over the enhanced code,
//! and that over the reply code. `texts`, `codes` and `meaning` are tables with one rule a line.

mod codes;
mod delay;
mod evidence;
mod meaning;
mod texts;

use crate::domain::outcome::{Class, Reason, Reply, Scope, Stage, Verdict};
use evidence::{Evidence, Severity};
use std::time::Duration;

/// What a rule says, before stage and reply code are taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    reason: Reason,
}

/// Classifies a 4xx or 5xx reply (RFC 5321 §4.2, RFC 3463). Any other code, or 0 for bytes that are not a reply, is a
/// temporary `protocol` failure of the message, so that its retries are limited. Reads at most
/// `evidence::MAX_TEXT_BYTES` of the text.
pub fn classify(stage: Stage, reply: &Reply) -> Verdict {
    let evidence = Evidence::new(stage, reply);
    let finding = if evidence.severity == Severity::Junk {
        Finding {
            rule: "reply.junk",
            reason: Reason::Protocol,
        }
    } else {
        texts::find(&evidence)
            .or_else(|| codes::enhanced(&evidence))
            .unwrap_or_else(|| codes::basic(&evidence))
    };
    let scope = scope(&evidence, finding.reason);
    Verdict {
        class: class(&evidence, finding.reason, scope),
        reason: finding.reason,
        scope,
        delay: delay::asked_for(evidence.text()),
        rule: finding.rule,
    }
}

/// Whether the words of a reply are about the name that the client gave in EHLO.
pub fn is_about_ehlo_name(words: &str) -> bool {
    let reply = Reply {
        code: 0,
        enhanced: None,
        text: words.to_string(),
    };
    let evidence = Evidence::new(Stage::RcptTo, &reply);
    texts::find(&evidence).is_some_and(|finding| finding.rule == texts::EHLO_NAME)
}

/// Before RCPT TO no reply is about a recipient. Up to AUTH it is about the relay. At MAIL FROM it is about the sender,
/// the size of the message, or the relay.
fn scope(evidence: &Evidence, reason: Reason) -> Scope {
    let meant = meaning::of(reason).scope;
    let permanent = evidence.severity == Severity::Permanent;
    match evidence.stage {
        Stage::Connect | Stage::Greeting | Stage::Ehlo | Stage::Tls | Stage::Auth => Scope::Relay,
        Stage::MailFrom => match meant {
            Scope::Message => meant,
            Scope::Sender if reason == Reason::SenderRejected => meant,
            // A permanent refusal here concerns every message with this sender.
            Scope::Sender if permanent && reason != Reason::TlsRequired => meant,
            Scope::Recipient if permanent => Scope::Sender,
            _ => Scope::Relay,
        },
        // A reply about all recipients says so. Otherwise, a server that accepted the recipient and refuses the content
        // means the message.
        _ if meaning::is_vague(reason) && !evidence.is_about_everybody() => {
            if evidence.stage == Stage::RcptTo {
                Scope::Recipient
            } else {
                Scope::Message
            }
        }
        _ if evidence.is_about_everybody() && meant != Scope::Relay => Scope::Site,
        _ => meant,
    }
}

/// The first digit of the reply code decides whether to retry, even if the enhanced code differs (552 4.2.2). The
/// exceptions are reasons that are always temporary (550 5.2.1 ReceivingRatePerm). A 4xx is never hard. A 5xx is hard
/// only if it is about the recipient.
fn class(evidence: &Evidence, reason: Reason, scope: Scope) -> Class {
    if evidence.severity != Severity::Permanent || scope == Scope::Relay {
        return Class::Temporary;
    }
    match meaning::of(reason).class {
        Class::Hard if scope != Scope::Recipient => Class::Soft,
        class => class,
    }
}

/// The delay that a reply's words ask for: `try again in 5 minutes`.
pub fn asked_delay(words: &str) -> Option<Duration> {
    delay::asked_for(&words.to_lowercase())
}

#[cfg(test)]
mod tests;
