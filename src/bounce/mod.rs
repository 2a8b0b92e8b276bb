//! What a refusal means: (stage, reply) -> class, reason, scope. Pure. Evidence in the words goes before the enhanced
//! code, the enhanced code before the reply code; `texts`, `codes` and `meaning` are tables, one line a rule.

mod codes;
mod delay;
mod evidence;
mod meaning;
mod texts;

use crate::domain::outcome::{Class, Reason, Reply, Scope, Stage, Verdict};
use evidence::{Evidence, Severity};

/// A rule's answer before the stage and the reply code have had their say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    reason: Reason,
}

/// Classifies a 4xx or 5xx reply (RFC 5321 §4.2, RFC 3463). A code that is neither, or 0 for bytes that were no
/// reply, is a temporary `protocol` failure of this message, so that it ends some time. Never panics; reads at most
/// `evidence::MAX_TEXT_BYTES` of the reply's text.
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

/// Before RCPT TO no reply can be about a recipient: up to AUTH it is about us and the relay, at MAIL FROM about the
/// sender, the message's size, or the relay.
fn scope(evidence: &Evidence, reason: Reason) -> Scope {
    let meant = meaning::of(reason).scope;
    let permanent = evidence.severity == Severity::Permanent;
    match evidence.stage {
        Stage::Connect | Stage::Greeting | Stage::Ehlo | Stage::Tls | Stage::Auth => Scope::Relay,
        Stage::MailFrom => match meant {
            Scope::Message => meant,
            Scope::Sender if reason == Reason::SenderRejected => meant,
            // A relay that has something against our address or our TLS has it against all that we send.
            Scope::Sender if permanent && reason != Reason::TlsRequired => meant,
            Scope::Recipient if permanent => Scope::Sender,
            _ => Scope::Relay,
        },
        // A server that means everybody says so; one that has taken the recipient and not the mail means the mail.
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

/// The reply code's first digit decides whether to come back, whatever the enhanced code's says (552 4.2.2), except
/// for reasons that pass by themselves (550 5.2.1 ReceivingRatePerm). A 4xx is never hard, and nothing is hard that
/// is not about the recipient.
fn class(evidence: &Evidence, reason: Reason, scope: Scope) -> Class {
    if evidence.severity != Severity::Permanent || scope == Scope::Relay {
        return Class::Temporary;
    }
    match meaning::of(reason).class {
        Class::Hard if scope != Scope::Recipient => Class::Soft,
        class => class,
    }
}

#[cfg(test)]
mod tests;
