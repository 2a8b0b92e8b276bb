//! From filter flags to the filter of the engine.

use crate::commands::project::OpenProject;
use crate::commands::{Failure, lookup, time};
use crate::domain::address;
use crate::domain::nearest::nearest;
use crate::domain::outcome::Reason;
use crate::domain::site::Sites;
use crate::engine::account;
use crate::engine::letters::LetterFilter;
use jiff::Zoned;

/// Selects letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// Only this campaign [default: all]
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,

    /// Only this reason, as `mailq dlq list` prints it [default: all]
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,

    /// Only this class [default: all]
    #[arg(long, value_name = "CLASS", value_parser = ["temporary", "soft", "hard"])]
    pub class: Option<String>,

    /// Only this receiving site, a domain [default: all]
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,

    /// Only letters since this time or this long ago, such as 2h or 7d [default: all]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Only this id; may be repeated [default: all]
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
}

/// A value of `--reason` besides the reasons of failures.
const IN_DOUBT: &str = "in_doubt";

/// Errors: a campaign without a run in this queue, an unknown reason, an invalid time.
pub async fn read(filter: &Filter, project: &OpenProject) -> Result<LetterFilter, Failure> {
    if let Some(campaign) = &filter.campaign {
        let ledger = account::read_ledger(project.queue.as_ref(), false).await?;
        lookup::runs(&ledger, campaign)?;
    }
    let in_doubt = filter.reason.as_deref() == Some(IN_DOUBT);
    let reason = filter.reason.as_deref().filter(|_| !in_doubt);
    let class = filter.class.as_deref().map(|class| {
        let wrong = |what: String| Failure::usage(format!("--class: {what}"));
        class.parse().map_err(wrong)
    });
    Ok(LetterFilter {
        campaign: filter.campaign.clone(),
        reason: reason.map(read_reason).transpose()?,
        in_doubt,
        class: class.transpose()?,
        site: filter
            .site
            .as_ref()
            .map(|name| site(name, &project.loaded.settings.groups)),
        since: filter.since.as_deref().map(since).transpose()?,
        ids: filter.id.iter().map(|id| bare(id).to_string()).collect(),
    })
}

/// A domain stands for its site. Other names are those of sites in the settings.
fn site(name: &str, groups: &Sites) -> String {
    let domain = address::domain(name).unwrap_or_else(|_| name.to_lowercase());
    groups.of(&domain).to_string()
}

/// Removes the angle brackets of an id that was copied from a message header.
pub fn bare(id: &str) -> &str {
    let id = id.trim();
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    inner.unwrap_or(id)
}

fn since(text: &str) -> Result<std::time::SystemTime, Failure> {
    time::parse_since(text, &Zoned::now())
        .map(Into::into)
        .map_err(|what| Failure::usage(format!("--since: {what}")))
}

fn read_reason(name: &str) -> Result<Reason, Failure> {
    name.parse().map_err(|_| {
        let names: Vec<String> = REASONS.iter().map(Reason::to_string).collect();
        let names = || names.iter().map(String::as_str).chain([IN_DOUBT]);
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the reasons are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Failure::usage(format!("--reason: `{name}` is not a reason")).with_hint(hint)
    })
}

/// The reasons that a letter can have.
const REASONS: [Reason; 37] = [
    Reason::NoMailbox,
    Reason::NoDomain,
    Reason::NullMx,
    Reason::Moved,
    Reason::MailboxDisabled,
    Reason::MailboxFull,
    Reason::RecipientFilter,
    Reason::ReceivingTooFast,
    Reason::Greylisted,
    Reason::Throttled,
    Reason::Reputation,
    Reason::SenderBlocked,
    Reason::AuthFail,
    Reason::NoPtr,
    Reason::TlsRequired,
    Reason::SenderRejected,
    Reason::SpamContent,
    Reason::Virus,
    Reason::Policy,
    Reason::Malformed,
    Reason::TooBig,
    Reason::Smtputf8Unsupported,
    Reason::RelayDenied,
    Reason::RelayAuth,
    Reason::RelayQuota,
    Reason::RemoteError,
    Reason::RemoteFull,
    Reason::Network,
    Reason::Dns,
    Reason::Expired,
    Reason::Loop,
    Reason::Protocol,
    Reason::WorkerLost,
    Reason::ConnectionLost,
    Reason::NoReply,
    Reason::Manual,
    Reason::Unknown,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_reasons_and_suggests_the_nearest() {
        assert_eq!(read_reason("mailbox_full"), Ok(Reason::MailboxFull));
        let failure = read_reason("mailbox_fill").unwrap_err();
        assert_eq!(
            failure.hint.as_deref(),
            Some("did you mean `mailbox_full`?")
        );
        let failure = read_reason("in_dubt").unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("did you mean `in_doubt`?"));
        assert!(read_reason("xxxxxxxxxxxxxxxx").unwrap_err().hint.is_some());
    }

    #[test]
    fn a_domain_stands_for_its_site() {
        let mut groups = Sites::default();
        groups.group("acme.example".into(), "acme").unwrap();
        for (name, expected) in [
            ("Hotmail.com.", "outlook.com"),
            ("acme.example", "acme"),
            ("Acme", "acme"),
            ("bücher.de", "xn--bcher-kva.de"),
        ] {
            assert_eq!(site(name, &groups), expected);
        }
    }

    #[test]
    fn removes_brackets_of_ids() {
        for (given, id) in [("<a@b>", "a@b"), (" a@b ", "a@b"), ("<a@b", "<a@b")] {
            assert_eq!(bare(given), id);
        }
    }
}
