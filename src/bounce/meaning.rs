//! The class and scope of each reason, for a 5xx reply.

use crate::domain::outcome::{Class, Reason, Scope};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub class: Class,
    pub scope: Scope,
}

pub const fn of(reason: Reason) -> Meaning {
    use Class::{Hard, Soft, Temporary};
    use Reason::*;
    use Scope::{Message, Recipient, Relay, Sender, Site};
    let (class, scope) = match reason {
        NoMailbox | NoDomain | NullMx | Moved => (Hard, Recipient),
        // The mailbox may come back, so a single refusal is not hard.
        MailboxDisabled | MailboxFull | RecipientFilter => (Soft, Recipient),
        ReceivingTooFast | Greylisted => (Temporary, Recipient),
        Throttled => (Temporary, Site),
        Reputation | SenderBlocked | AuthFail | NoPtr | TlsRequired | SenderRejected | Policy => {
            (Soft, Sender)
        }
        SpamContent | Virus | Malformed | TooBig | Smtputf8Unsupported => (Soft, Message),
        RelayDenied | RelayAuth | RelayQuota => (Temporary, Relay),
        RemoteError | RemoteFull | Network | Dns | Expired | Loop => (Soft, Site),
        // Perhaps a bug in mailq. It affects this message, as far as is known.
        Protocol => (Soft, Message),
        WorkerLost | ConnectionLost | NoReply => (Temporary, Relay),
        Complaint | Unsubscribe | Manual => (Hard, Recipient),
        Unknown => (Soft, Recipient),
    };
    Meaning { class, scope }
}

/// Reasons that do not imply a scope.
pub const fn is_vague(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Unknown
            | Reason::RemoteError
            | Reason::RemoteFull
            | Reason::Network
            | Reason::Dns
            | Reason::Expired
            | Reason::Loop
    )
}
