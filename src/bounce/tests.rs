//! The classifier on replies that are easy to misread, and on every code at every stage.

use super::*;
use crate::domain::outcome::EnhancedCode;
use proptest::prelude::*;

/// Parses `550 5.1.1 text`.
pub fn reply(line: &str) -> Reply {
    let (code, text) = line.split_once(' ').unwrap_or((line, ""));
    let first = text.split(' ').next().unwrap_or("");
    let parts: Vec<u16> = first
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    let enhanced = match (parts.as_slice(), first.split('.').count()) {
        ([class, subject, detail], 3) => Some(EnhancedCode(*class as u8, *subject, *detail)),
        _ => None,
    };
    Reply {
        code: code.parse().unwrap(),
        enhanced,
        text: text.to_string(),
    }
}

const ALL_STAGES: [Stage; 9] = [
    Stage::Connect,
    Stage::Greeting,
    Stage::Ehlo,
    Stage::Tls,
    Stage::Auth,
    Stage::MailFrom,
    Stage::RcptTo,
    Stage::Data,
    Stage::FinalDot,
];

fn check(stage: Stage, cases: &[(&str, Class, Reason, Scope)]) {
    for (line, class, reason, scope) in cases {
        let verdict = classify(stage, &reply(line));
        assert_eq!(
            (verdict.class, verdict.reason, verdict.scope),
            (*class, *reason, *scope),
            "{stage:?} {line} by {}",
            verdict.rule
        );
    }
}

use Class::{Hard, Soft, Temporary};
use Reason::*;
use Scope::{Message, Recipient, Relay, Sender, Site};

#[test]
#[rustfmt::skip]
fn classifies_ambiguous_replies_to_rcpt_to() {
    check(Stage::RcptTo, &[
        ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3150)", Soft, SenderBlocked, Sender),
        ("550 5.7.1 Message refused", Soft, Policy, Sender),
        ("552 5.2.2 over quota", Soft, MailboxFull, Recipient),
        ("452 4.2.2 over quota", Temporary, MailboxFull, Recipient),
        ("552 4.2.2 over quota", Soft, MailboxFull, Recipient),
        ("552 5.2.2 The email account is over quota and inactive. p=OverQuotaPerm", Soft, MailboxFull, Recipient),
        ("450 4.2.1 The user you are trying to contact is receiving mail too quickly", Temporary, ReceivingTooFast, Recipient),
        ("550 5.2.1 receiving mail at a rate that p=ReceivingRatePerm", Temporary, ReceivingTooFast, Recipient),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", Temporary, Reputation, Site),
        ("553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred", Soft, SenderBlocked, Sender),
        ("451 4.7.650 The mail server [192.0.2.1] has been temporarily restricted", Temporary, Throttled, Site),
        ("451 4.7.1 <a@b.example>: Greylisting in action, please come back later", Temporary, Greylisted, Recipient),
        ("450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted", Temporary, Greylisted, Recipient),
        ("450 4.1.1 <a@b.example>: Recipient address rejected: User unknown", Temporary, NoMailbox, Recipient),
        ("550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [AM1.protection.outlook.com]", Hard, NoMailbox, Recipient),
        ("550 5.4.1 Recipient address rejected: Access denied", Soft, RecipientFilter, Recipient),
        ("550 5.2.1 The email account that you tried to reach is disabled. p=DisabledUser", Soft, MailboxDisabled, Recipient),
        ("550 mailbox unavailable", Hard, NoMailbox, Recipient),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", Hard, NoMailbox, Recipient),
        ("550 5.2.1 Mailbox unavailable. Your IP 192.0.2.1 is listed by SPAMHAUS", Soft, SenderBlocked, Sender),
        ("550 5.1.1 <a@b.example> sent to too many recipients this hour IB607", Temporary, Throttled, Site),
        ("550 5.7.26 This mail has been blocked because the sender is unauthenticated", Soft, AuthFail, Sender),
        ("550 5.7.515 Access denied, sending domain does not meet the required level", Soft, AuthFail, Sender),
        ("554 5.7.1 <a@b.example>: Relay access denied", Temporary, RelayDenied, Relay),
        ("504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname", Temporary, RelayDenied, Relay),
        ("550 5.7.1 <[127.0.0.1]>: HELO command rejected: Access denied", Temporary, RelayDenied, Relay),
        ("450 4.7.1 Error: too much mail from 192.0.2.1", Temporary, Throttled, Site),
        ("432 4.3.2 Concurrent connections limit exceeded.", Temporary, Throttled, Site),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Temporary, Throttled, Site),
        ("432 not now", Temporary, Throttled, Site),
        ("550 5.4.5 Daily user sending limit exceeded", Temporary, RelayQuota, Relay),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup", Hard, NoMailbox, Recipient),
        ("556 5.1.10 <a@b.example>: Domain b.example does not accept mail (nullMX)", Hard, NullMx, Recipient),
        ("552 5.3.4 Message too big for system", Soft, TooBig, Message),
        ("553 5.6.7 cannot take this", Soft, Smtputf8Unsupported, Message),
        ("554 5.4.4 no MX", Soft, Dns, Recipient),
        ("554 5.4.4 Host not found", Hard, NoDomain, Recipient),
        ("554 5.4.6 hop count", Soft, Loop, Recipient),
        ("421 4.7.0 Trop de connexions, veuillez ralentir. OFR005_104", Temporary, Throttled, Site),
        ("571 not today", Soft, Unknown, Recipient),
        ("550 5.1.1 <a@b.example>: Recipient address rejected: User unknown in virtual mailbox table", Hard, NoMailbox, Recipient),
        ("550 no such user here", Hard, NoMailbox, Recipient),
        ("550 <spam@blacklist.example>", Soft, Unknown, Recipient),
        ("550", Soft, Unknown, Recipient),
        ("551", Soft, Unknown, Recipient),
        ("553 sorry", Soft, Unknown, Recipient),
        ("551 5.1.6 moved", Hard, Moved, Recipient),
        ("451", Temporary, Unknown, Recipient),
        ("450 4.0.0 no", Temporary, Unknown, Recipient),
        ("451 4.3.0 internal error", Temporary, RemoteError, Recipient),
        ("450 4.3.2 system not accepting mail", Temporary, RemoteError, Site),
        ("452", Temporary, RemoteFull, Site),
        ("452 4.3.1 Insufficient system storage", Temporary, RemoteFull, Site),
        ("452 4.5.3 Too many recipients", Temporary, Throttled, Site),
        ("554 5.7.1 <a@b.example>: Recipient address rejected: not today", Soft, RecipientFilter, Recipient),
        ("550 5.1.1 <a@b.example>: Sender address rejected: User unknown", Soft, SenderRejected, Sender),
        ("354 go on", Temporary, Protocol, Message),
        ("0 \u{fffd}\u{fffd}", Temporary, Protocol, Message),
    ]);
}

#[test]
#[rustfmt::skip]
fn classifies_replies_at_other_stages() {
    check(Stage::FinalDot, &[
        ("550 5.7.1 Our system has detected that this message is likely unsolicited mail", Soft, SpamContent, Message),
        ("550 5.7.1 no", Soft, Policy, Sender),
        ("554 refused", Soft, Policy, Sender),
        ("550 mailbox unavailable", Soft, Unknown, Message),
        ("550 5.1.1 unknown", Hard, NoMailbox, Recipient),
        ("451 4.3.0 queue file write error", Temporary, RemoteError, Message),
        ("451", Temporary, Unknown, Message),
        ("552", Soft, TooBig, Message),
        ("421 4.3.2 shutting down", Temporary, RemoteError, Site),
    ]);
    check(Stage::MailFrom, &[
        ("550 5.1.8 Sender domain does not exist", Soft, SenderRejected, Sender),
        ("450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", Temporary, SenderRejected, Sender),
        ("550 5.1.1 no such user", Soft, NoMailbox, Sender),
        ("552 5.3.4 size", Soft, TooBig, Message),
        ("452 4.3.1 Insufficient system storage", Temporary, RemoteFull, Relay),
        ("530 5.7.0 Must issue a STARTTLS command first", Temporary, TlsRequired, Relay),
        ("530 5.5.1 Authentication Required", Temporary, RelayAuth, Relay),
        ("450 4.7.1 come back", Temporary, Policy, Relay),
    ]);
    check(Stage::Auth, &[
        ("535 5.7.8 authentication failed", Temporary, RelayAuth, Relay),
        ("454 4.7.0 Temporary authentication failure", Temporary, RelayAuth, Relay),
        ("550 user unknown", Temporary, NoMailbox, Relay),
    ]);
    check(Stage::Greeting, &[
        ("554 5.7.1 blocked using zen.spamhaus.example", Temporary, SenderBlocked, Relay),
        ("421 too many connections", Temporary, Throttled, Relay),
        ("452 4.2.2 over quota", Temporary, MailboxFull, Relay),
    ]);
}

#[test]
fn returns_the_delay_that_a_reply_asks_for() {
    let asked = classify(
        Stage::RcptTo,
        &reply("450 4.7.1 Greylisted, try again in 5 minutes"),
    );
    assert_eq!(asked.delay, Some(std::time::Duration::from_secs(300)));
    assert_eq!(asked.rule, "text.greylist");
}

#[test]
fn every_code_keeps_the_limits_of_class_and_scope() {
    for stage in ALL_STAGES {
        for code in [
            0, 250, 354, 421, 431, 450, 451, 452, 454, 455, 530, 535, 550, 552, 554, 571,
        ] {
            for (subject, detail) in
                (0..8).flat_map(|s| [0, 1, 2, 3, 5, 7, 10, 25, 606].map(move |d| (s, d)))
            {
                let reply = Reply {
                    code,
                    enhanced: Some(EnhancedCode(5, subject, detail)),
                    text: String::new(),
                };
                check_limits(stage, &reply);
            }
        }
    }
}

fn check_limits(stage: Stage, reply: &Reply) {
    let verdict = classify(stage, reply);
    if !(500..600).contains(&reply.code) {
        assert_eq!(verdict.class, Temporary, "{stage:?} {reply:?}");
    }
    if verdict.class == Hard {
        assert_eq!(verdict.scope, Recipient, "{stage:?} {reply:?}");
    }
    if stage < Stage::RcptTo && reply.code != 0 && (400..600).contains(&reply.code) {
        assert_ne!(verdict.scope, Recipient, "{stage:?} {reply:?}");
    }
    if stage < Stage::MailFrom {
        assert_eq!(verdict.scope, Relay, "{stage:?} {reply:?}");
    }
}

proptest! {
    #[test]
    fn any_text_keeps_the_limits_of_class_and_scope(code in 400u16..600, text in "\\PC{0,200}", stage in 0usize..9) {
        check_limits(ALL_STAGES[stage], &Reply { code, enhanced: None, text });
    }

    /// Without enhanced code and text, only 556 is hard.
    #[test]
    fn a_bare_code_is_not_hard(code in 500u16..600) {
        let bare = Reply { code, enhanced: None, text: String::new() };
        let verdict = classify(Stage::RcptTo, &bare);
        prop_assert!(verdict.class != Hard || code == 556);
    }
}
