//! The keys of a `[site."gmail.com"]`.

use crate::config::declare::keys;
use crate::config::schema::{Limits, ListItem};
use crate::domain::address;
use crate::domain::rate::Rate;

keys! {
    /// Limits for a receiving provider (a site), which is named by one of its domains. Domains of a known provider are
    /// one site: `[site."hotmail.com"]` and `[site."outlook.com"]` are the same.
    pub struct SiteKeys in "site" as Labelled {
        /// Most messages to this provider, all workers together: `20/s`, `500/min`
        rate: Option<Rate> {
            default_text: "no limit except `rate` in `[send]`",
            example: "20/s",
        }

        /// Connections of one worker that may carry mail for this provider at the same time
        connections: Option<u32> {
            default_text: "no limit except `connections` in `[send]`",
            limits: Limits::Whole(1, 10_000),
            example: "5",
        }

        /// Domains that are one site, in place of how mailq groups them
        ///
        /// With it the table may have any name. mailq knows the domains of large providers; this adds those that share
        /// the mail servers of another domain, or takes a domain out of its group: `[site."aol.com"]` with
        /// `domains = ["aol.com"]` is a site of its own, and not part of Yahoo.
        domains: Option<Vec<SiteDomain>> {
            default_text: "the domain in the table's name, and those of the same provider",
            example: "acme.example; acme.co.uk",
        }
    }
}

/// A domain in lower-case A-labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDomain(pub String);

impl ListItem for SiteDomain {
    const EXPECTS: &'static str = "domains";

    fn parse(text: &str) -> Result<SiteDomain, String> {
        let name = address::domain(text).map_err(|why| format!("not a domain: {why}"))?;
        Ok(SiteDomain(name))
    }
}
