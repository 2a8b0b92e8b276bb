//! Rules by code: enhanced codes of the IANA registry (RFC 3463, 5248, 7505, 8616) and of large receivers, and the
//! reply codes of RFC 5321 §4.2.3.

use super::Finding;
use super::evidence::{Evidence, Severity};
use crate::domain::outcome::{
    Reason::{self, *},
    Stage, TOO_MANY_CONNECTIONS,
};

/// (subject, first detail, last detail, rule, reason).
type EnhancedRule = (u16, u16, u16, &'static str, Reason);

#[rustfmt::skip]
const ENHANCED: &[EnhancedRule] = &[
    (0, 0, 0, "enhanced.0.0", Unknown),
    (1, 0, 0, "enhanced.1.0", Unknown),
    (1, 1, 1, "enhanced.1.1", NoMailbox),
    (1, 2, 2, "enhanced.1.2", NoDomain),
    (1, 3, 3, "enhanced.1.3", NoMailbox),
    (1, 4, 4, "enhanced.1.4", Unknown),
    (1, 6, 6, "enhanced.1.6", Moved),
    (1, 7, 8, "enhanced.1.7-8", SenderRejected),
    (1, 9, 9, "enhanced.1.9", RemoteError),
    (1, 10, 10, "enhanced.1.10", NullMx),
    (2, 0, 0, "enhanced.2.0", Unknown),
    (2, 1, 1, "enhanced.2.1", MailboxDisabled),
    (2, 2, 2, "enhanced.2.2", MailboxFull),
    (2, 3, 3, "enhanced.2.3", TooBig),
    (2, 4, 4, "enhanced.2.4", RecipientFilter),
    (3, 1, 1, "enhanced.3.1", RemoteFull),
    (3, 3, 3, "enhanced.3.3", Malformed),
    (3, 4, 4, "enhanced.3.4", TooBig),
    (3, 0, 5, "enhanced.3", RemoteError),
    (4, 3, 4, "enhanced.4.3-4", Dns),
    (4, 6, 6, "enhanced.4.6", Loop),
    (4, 7, 7, "enhanced.4.7", Expired),
    (4, 0, 5, "enhanced.4", Network),
    (5, 3, 3, "enhanced.5.3", Throttled),
    (5, 0, 6, "enhanced.5", Protocol),
    (6, 7, 10, "enhanced.6.7-10", Smtputf8Unsupported),
    (6, 0, 6, "enhanced.6", Malformed),
    (7, 2, 2, "enhanced.7.2", RecipientFilter),
    (7, 7, 7, "enhanced.7.7", AuthFail),
    (7, 8, 9, "enhanced.7.8-9", RelayAuth),
    (7, 10, 10, "enhanced.7.10", TlsRequired),
    (7, 11, 12, "enhanced.7.11-12", RelayAuth),
    (7, 13, 13, "enhanced.7.13", MailboxDisabled),
    (7, 16, 16, "enhanced.7.16", TooBig),
    (7, 17, 17, "enhanced.7.17", MailboxDisabled),
    (7, 18, 18, "enhanced.7.18", RecipientFilter),
    (7, 20, 24, "enhanced.7.20-24", AuthFail),
    (7, 25, 25, "enhanced.7.25", NoPtr),
    (7, 26, 26, "enhanced.7.26", AuthFail),
    (7, 27, 27, "enhanced.7.27", SenderRejected),
    (7, 28, 28, "enhanced.7.28", Throttled),
    (7, 29, 30, "enhanced.7.29-30", TlsRequired),
    (7, 32, 32, "enhanced.7.32", AuthFail),
    (7, 57, 57, "enhanced.7.57", RelayAuth),
    (7, 64, 64, "enhanced.7.64", RelayDenied),
    (7, 124, 124, "enhanced.7.124", RecipientFilter),
    (7, 133, 133, "enhanced.7.133", RecipientFilter),
    (7, 509, 509, "enhanced.7.509", AuthFail),
    (7, 511, 511, "enhanced.7.511", SenderBlocked),
    (7, 515, 515, "enhanced.7.515", AuthFail),
    (7, 525, 525, "enhanced.7.525", MailboxDisabled),
    (7, 606, 649, "enhanced.7.606-649", SenderBlocked),
    (7, 650, 652, "enhanced.7.650-652", Throttled),
    (7, 0, u16::MAX, "enhanced.7", Policy),
];

/// The first rule that matches subject and detail. `None` if none does.
pub fn enhanced(evidence: &Evidence) -> Option<Finding> {
    let (subject, detail) = evidence.detail?;
    let (_, _, _, rule, reason) = ENHANCED
        .iter()
        .find(|(s, first, last, ..)| *s == subject && (*first..=*last).contains(&detail))?;
    // At MAIL FROM, subjects 1 and 2 are about the sender's address. At AUTH, subject 7 is about the login.
    let reason = match (evidence.stage, subject, *reason) {
        (Stage::MailFrom, 1 | 2, reason) if reason != TooBig => SenderRejected,
        // "Other": the reply code says more.
        (_, _, Unknown) => return None,
        (Stage::Auth, 7, Policy) => RelayAuth,
        (_, _, reason) => reason,
    };
    Some(Finding { rule, reason })
}

/// Rules by reply code alone. Servers use 550, 551 and 553 for anything, so these never condemn a recipient.
pub fn basic(evidence: &Evidence) -> Finding {
    use Stage::{Auth, MailFrom};
    let (rule, reason) = match (evidence.code, evidence.stage) {
        (421, _) => ("code.421", Throttled),
        (431 | 452, _) => ("code.452", RemoteFull),
        (TOO_MANY_CONNECTIONS, stage) if stage > Auth => ("code.432", Throttled),
        (432 | 454 | 534 | 535 | 538, _) => ("code.535", RelayAuth),
        (530, _) => ("code.530", RelayAuth),
        (500..=504, Auth) => ("code.auth", RelayAuth),
        (500..=504, _) => ("code.500-504", Protocol),
        (455 | 555, _) => ("code.555", Protocol),
        (556, Stage::RcptTo) => ("code.556", NullMx),
        (552, MailFrom | Stage::Data | Stage::FinalDot) => ("code.552", TooBig),
        (550 | 551 | 553, MailFrom) => ("code.mail-from", SenderRejected),
        (554, Stage::Data | Stage::FinalDot) => ("code.554", Policy),
        (_, Auth) => ("code.auth", RelayAuth),
        _ if evidence.severity == Severity::Transient => ("code.4xx", Unknown),
        _ => ("code.5xx", Unknown),
    };
    Finding { rule, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_rule_can_match_and_has_a_unique_name() {
        let mut ids = HashSet::new();
        for (index, (subject, first, last, rule, _)) in ENHANCED.iter().enumerate() {
            assert!(ids.insert(rule), "{rule} is given twice");
            assert!(first <= last, "{rule}");
            let reached = (*first..=*last).any(|detail| {
                ENHANCED
                    .iter()
                    .position(|(s, f, l, ..)| s == subject && (*f..=*l).contains(&detail))
                    == Some(index)
            });
            assert!(reached, "{rule} is hidden by the lines above it");
        }
    }
}
