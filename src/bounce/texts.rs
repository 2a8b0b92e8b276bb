//! Rules by text, for what the codes do not say. Rules about all recipients or about the sender come before rules about
//! the recipient, because receivers answer `5.1.1` to senders that they block.

use super::Finding;
use super::evidence::{Evidence, Severity};
use crate::domain::outcome::{
    Reason::{self, *},
    Stage,
};

struct TextRule {
    id: &'static str,
    /// Patterns of [`Evidence::has`]. One of them must match.
    any: &'static [&'static str],
    /// Patterns that must not match.
    not: &'static [&'static str],
    when: When,
    reason: Reason,
    #[cfg_attr(not(test), allow(dead_code, reason = "the self-test reads it"))]
    example: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// From RCPT TO on. Before, the text means something else.
    Recipient,
    Transient,
}

const NONE: &[&str] = &[];

/// The rule about the name in EHLO.
pub const EHLO_NAME: &str = "text.helo";

#[rustfmt::skip]
const RULES: &[TextRule] = &[
    TextRule { id: "text.greylist", reason: Greylisted, when: When::Always, not: NONE,
        any: &["greylist", "graylist", "grey-list", "gray-list", "grey list", "postgrey"],
        example: "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted, see http://postgrey.example/help/b.html" },
    TextRule { id: "text.relay-quota", reason: RelayQuota, when: When::Always, not: &["mailbox"],
        any: &["daily*sending limit", "daily*sending quota", "sending limit exceeded", "daily message quota exceeded", "maximum sending rate exceeded"],
        example: "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.example" },
    TextRule { id: "text.receiving-rate", reason: ReceivingTooFast, when: When::Always, not: NONE,
        any: &["receivingrate", "receiving mail too quickly", "receiving email too quickly", "receiving mail at a rate", "receiving email at a rate"],
        example: "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages. p=ReceivingRatePerm" },
    TextRule { id: "text.throttled", reason: Throttled, when: When::Always, not: NONE,
        any: &["too many connections", "too many concurrent", "concurrent connections limit", "sender thread limit", "too many messages", "too many mails", "too much mail", "too many recipients", "rate limit", "ratelimit", "rate exceeded", "frequency limited", "slow down", "throttl", "trop de connexions"],
        example: "550 5.1.1 <a@b.example> not delivered: sent to too many recipients this hour. IB607" },
    TextRule { id: "text.relay-denied", reason: RelayDenied, when: When::Always, not: NONE,
        any: &["relay access denied", "relaying denied", "relay denied", "relay not permitted", "relaying not allowed", "not permitted to relay", "unable to relay"],
        example: "554 5.7.1 <a@b.example>: Relay access denied" },
    TextRule { id: EHLO_NAME, reason: RelayDenied, when: When::Always, not: NONE,
        any: &["helo command rejected", "ehlo command rejected", "helo rejected", "ehlo rejected", "invalid helo", "invalid ehlo", "helo*fully-qualified", "ehlo*fully-qualified"],
        example: "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname" },
    TextRule { id: "text.relay-auth", reason: RelayAuth, when: When::Always, not: NONE,
        any: &["authentication required", "authentication is required", "must authenticate", "client was not authenticated", "smtp auth*required"],
        example: "550 5.7.1 Authentication required" },
    TextRule { id: "text.blocked", reason: SenderBlocked, when: When::Always, not: &["by recipient", "by the recipient"],
        any: &["spamhaus", "spamcop", "rbl", "dnsbl", "block list", "blocklist", "blacklist", "black list", "blocked using", "your ip*block", "your ip*listed", "ip address*block", "sending ip*banned", "(s3150)", "(s3140)", "[tss09]", "[bl21]"],
        example: "550 5.2.1 Mailbox unavailable. Your IP 192.0.2.1 was found in SPAMHAUS" },
    TextRule { id: "text.reputation", reason: Reputation, when: When::Always, not: NONE,
        any: &["[tss04]", "low reputation", "poor reputation", "bad reputation", "reputation of"],
        example: "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints" },
    TextRule { id: "text.auth-fail", reason: AuthFail, when: When::Always, not: NONE,
        any: &["dmarc", "dkim", "spf check", "spf fail", "spf record", "fails spf", "unauthenticated email"],
        example: "550 5.7.1 Unauthenticated email from b.example is not accepted due to domain's DMARC policy" },
    TextRule { id: "text.no-ptr", reason: NoPtr, when: When::Always, not: NONE,
        any: &["reverse dns", "ptr record", "reverse hostname", "reverse lookup"],
        example: "550 Client host rejected: cannot find your reverse hostname, [192.0.2.1]" },
    TextRule { id: "text.tls", reason: TlsRequired, when: When::Always, not: NONE,
        any: &["starttls command first", "tls required", "starttls required", "encryption required", "requires encryption"],
        example: "530 5.7.0 Must issue a STARTTLS command first" },
    TextRule { id: "text.sender", reason: SenderRejected, when: When::Always, not: NONE,
        any: &["sender address rejected", "sender rejected", "sender verify failed", "sender domain", "sender*does not exist", "invalid sender"],
        example: "550 5.1.1 <a@b.example>: Sender address rejected: User unknown in virtual mailbox table" },
    TextRule { id: "text.spam", reason: SpamContent, when: When::Always, not: NONE,
        any: &["spam", "unsolicited", "junk mail", "bulk mail", "content rejected", "content denied"],
        example: "550 5.7.1 Our system has detected that this message is likely unsolicited mail" },
    TextRule { id: "text.virus", reason: Virus, when: When::Always, not: NONE,
        any: &["virus", "malware", "infected"],
        example: "554 5.7.1 Message contains a virus" },
    TextRule { id: "text.too-big", reason: TooBig, when: When::Always, not: &["mailbox", "quota", "storage"],
        any: &["message*too large", "message*too big", "message size exceeds", "message exceeds*size", "exceeds*maximum*size"],
        example: "552 Message size exceeds fixed maximum message size (10240000)" },
    TextRule { id: "text.malformed", reason: Malformed, when: When::Always, not: NONE,
        any: &["rfc 5322", "rfc5322", "rfc 2822", "duplicate header", "line too long"],
        example: "550 5.7.1 This message is not RFC 5322 compliant, the issue is: duplicate From headers" },
    TextRule { id: "text.smtputf8", reason: Smtputf8Unsupported, when: When::Always, not: NONE,
        any: &["smtputf8", "non-ascii address"],
        example: "553 5.6.7 SMTPUTF8 is required, but was not offered" },
    TextRule { id: "text.quota", reason: MailboxFull, when: When::Always, not: NONE,
        any: &["quota", "mailbox full", "mailbox is full", "mailbox*storage", "out of storage", "inbox is full", "mailbox size limit"],
        example: "552 The email account that you tried to reach is over quota" },
    TextRule { id: "text.recipient-filter", reason: RecipientFilter, when: When::Always, not: &["access denied*outlook.com"],
        any: &["by recipient", "by the recipient", "recipient*has blocked", "resolver.rst", "rejected by user", "recipient address rejected: access denied"],
        example: "550 Message was blocked by recipient" },
    TextRule { id: "text.disabled", reason: MailboxDisabled, when: When::Recipient, not: NONE,
        any: &["account*disabled", "mailbox*disabled", "user*disabled", "account*inactive", "mailbox*inactive", "user*inactive", "account*suspended", "user*suspended", "account*deactivated", "disableduser"],
        example: "550 5.2.1 The email account that you tried to reach is disabled. p=DisabledUser" },
    TextRule { id: "text.no-such-domain", reason: NoDomain, when: When::Recipient, not: NONE,
        any: &["domain not found", "host unknown", "unknown host", "host not found", "domain*does not exist", "no such domain", "nxdomain", "unknown domain", "invalid domain"],
        example: "554 5.4.4 <a@b.example>: Recipient address rejected: Domain not found" },
    TextRule { id: "text.null-mx", reason: NullMx, when: When::Recipient, not: NONE,
        any: &["nullmx", "null mx"],
        example: "550 <a@b.example>: Recipient address rejected: Domain b.example does not accept mail (nullMX)" },
    TextRule { id: "text.no-such-user", reason: NoMailbox, when: When::Always, not: &["sender"],
        any: &["user unknown", "unknown user", "no such user", "nosuchuser", "user not found", "user does not exist", "user doesn't", "mailbox not found", "mailbox does not exist", "no such mailbox", "no mailbox here", "recipient not found", "recipientnotfound", "unknown recipient", "recipient unknown", "no such recipient", "no such address", "unknown local part", "account*does not exist", "address does not exist", "access denied*outlook.com"],
        example: "550 5.4.1 Recipient address rejected: Access denied. [AM1.prod.protection.outlook.com]" },
    TextRule { id: "text.mailbox-unavailable", reason: NoMailbox, when: When::Recipient, not: &["policy", "reject"],
        any: &["mailbox unavailable", "invalid recipient", "invalid mailbox"],
        example: "550 5.5.0 Requested action not taken: mailbox unavailable" },
    TextRule { id: "text.service-unavailable", reason: RemoteError, when: When::Transient, not: NONE,
        any: &["service unavailable", "service not available", "system not available", "temporary lookup failure", "server configuration error"],
        example: "451 4.7.1 Service unavailable - try again later" },
    TextRule { id: "text.recipient-rejected", reason: RecipientFilter, when: When::Recipient, not: NONE,
        any: &["recipient address rejected", "recipient rejected"],
        example: "554 5.7.1 <a@b.example>: Recipient address rejected: not today" },
];

/// The first rule that matches.
pub fn find(evidence: &Evidence) -> Option<Finding> {
    RULES
        .iter()
        .find(|rule| {
            rule.when.holds(evidence)
                && rule.any.iter().any(|pattern| evidence.has(pattern))
                && !rule.not.iter().any(|pattern| evidence.has(pattern))
                && !is_overruled(rule, evidence)
        })
        .map(|rule| Finding {
            rule: rule.id,
            reason: rule.reason,
        })
}

impl When {
    fn holds(self, evidence: &Evidence) -> bool {
        match self {
            When::Always => true,
            When::Recipient => evidence.stage >= Stage::RcptTo,
            When::Transient => evidence.severity == Severity::Transient,
        }
    }
}

/// `mailbox unavailable` is the standard text of 550 (RFC 5321 §4.2.3), so a specific enhanced code takes precedence.
/// After the recipient was accepted the text means something else.
fn is_overruled(rule: &TextRule, evidence: &Evidence) -> bool {
    rule.id == "text.mailbox-unavailable"
        && (evidence.stage > Stage::RcptTo
            || !matches!(evidence.detail, None | Some((0 | 5, 0) | (1, _))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounce::tests::reply;
    use std::collections::HashSet;

    #[test]
    fn every_rule_matches_its_example_and_has_a_unique_id() {
        let mut ids = HashSet::new();
        for rule in RULES {
            let evidence = Evidence::new(Stage::RcptTo, &reply(rule.example));
            let found = find(&evidence).map(|finding| finding.rule);
            assert_eq!(found, Some(rule.id), "{}", rule.example);
            assert!(ids.insert(rule.id), "{} is given twice", rule.id);
        }
    }

    #[test]
    fn patterns_are_normalised_like_texts() {
        for pattern in RULES
            .iter()
            .flat_map(|rule| rule.any.iter().chain(rule.not))
        {
            assert_eq!(*pattern, pattern.to_lowercase().trim());
            assert!(
                !pattern.contains('@') && !pattern.contains("  "),
                "{pattern}"
            );
        }
    }
}
