//! The tables `[site."…"]`: which site each names, and which domains the settings group into one.

use super::document::Node;
use super::error::{ConfigError, at};
use super::keys::SiteKeys;
use super::layers::{Keys, Reader};
use super::source::Source;
use crate::domain::address;
use crate::domain::site::Sites;
use crate::engine::worker::figures::OTHER;
use std::collections::BTreeMap;

/// Longest name of a site that is no domain.
const MAX_NAME_BYTES: usize = 64;

/// Errors: a name that is no domain and groups none, two tables for one site, a domain in two groups, a table that is
/// named by a domain of another site.
pub(super) fn read(top: &Reader<'_>) -> Result<(Sites, BTreeMap<String, SiteKeys>), ConfigError> {
    let mut groups = Sites::default();
    let mut sites = BTreeMap::new();
    let mut labels: BTreeMap<String, &str> = BTreeMap::new();
    let mut named = Vec::new();
    let mut tables = top.node().labelled(SiteKeys::TABLE.path);
    // In file order, so that the second of two is the one that is wrong.
    tables.sort_by_cached_key(|(_, table)| table.place().line);
    for (label, table) in tables {
        let name = format!("site.\"{label}\"");
        let bad = |key, why| bad(table, key, why);
        let keys = SiteKeys::read(&top.of(table, name.clone()))?;
        let site = site_of(label, &keys).map_err(|why| bad(name.clone(), why))?;
        if let Some(other) = labels.insert(site.clone(), label) {
            let why = match other == site {
                true => format!("is the same site as `site.\"{other}\"`"),
                false => format!("is site `{site}`, as `site.\"{other}\"` is"),
            };
            return Err(bad(name, why));
        }
        for domain in keys.domains.iter().flatten() {
            groups.group(domain.0.clone(), &site).map_err(|other| {
                let why = format!("names `{}`, which belongs to site `{other}`", domain.0);
                bad(format!("{name}.domains"), why)
            })?;
        }
        named.push((label, table, site.clone()));
        sites.insert(site, keys);
    }
    check_names(&named, &groups)?;
    Ok((groups, sites))
}

/// Checks tables, each with its site. Errors: the domain that names a table is one of another site, so the table would
/// not apply to it.
fn check_names(named: &[(&str, Node<'_>, String)], groups: &Sites) -> Result<(), ConfigError> {
    for (label, table, site) in named {
        let Ok(domain) = address::domain(label) else {
            continue;
        };
        let owner = groups.of(&domain);
        if owner != site {
            let why = format!("is a table for `{domain}`, which belongs to site `{owner}`");
            return Err(bad(*table, format!("site.\"{label}\""), why));
        }
    }
    Ok(())
}

fn bad(table: Node<'_>, key: String, why: String) -> ConfigError {
    ConfigError::BadKey {
        at: at(&Source::File(table.place())),
        key,
        why,
        cure: None,
    }
}

/// The site that a table is for. A domain stands for its provider, unless the table says what the site is made of.
fn site_of(label: &str, keys: &SiteKeys) -> Result<String, String> {
    let domains = keys.domains.as_deref().unwrap_or_default();
    match address::domain(label) {
        Ok(domain) if domains.iter().any(|one| one.0 == domain) => Ok(domain),
        Ok(domain) => Ok(Sites::default().of(&domain).to_string()),
        Err(_) if label.eq_ignore_ascii_case(OTHER) => {
            Err("is the name for all sites without figures of their own".to_string())
        }
        Err(_) if !domains.is_empty() && is_name(label) => Ok(label.to_lowercase()),
        Err(why) if domains.is_empty() => Err(format!("is not a domain: {why}")),
        Err(_) => Err("is not a name of letters, digits, `.`, `-` and `_`".to_string()),
    }
}

fn is_name(label: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    !label.is_empty() && label.len() <= MAX_NAME_BYTES && label.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;
    use crate::config::keys::PROJECT;
    use crate::config::layers::{Flags, Layers};
    use crate::config::source::Variables;
    use std::path::Path;

    fn read_text(text: &str) -> Result<(Sites, BTreeMap<String, SiteKeys>), ConfigError> {
        let document = Document::parse(text, "mailq.toml".into(), &PROJECT)?;
        let (variables, flags) = (Variables::default(), Flags::default());
        let layers = Layers::new(&document, Path::new("/"), &variables, &flags);
        read(&layers.top())
    }

    #[test]
    fn a_table_is_for_the_site_of_its_domain_however_that_is_written() {
        for (label, site) in [
            ("gmail.com", "gmail.com"),
            ("gmail.com.", "gmail.com"),
            ("GoogleMail.com", "gmail.com"),
            ("hotmail.co.uk", "outlook.com"),
            ("bücher.de", "xn--bcher-kva.de"),
            ("localhost", "localhost"),
        ] {
            let (_, sites) = read_text(&format!("[site.\"{label}\"]\nrate = \"1/s\"\n")).unwrap();
            assert_eq!(sites.keys().collect::<Vec<_>>(), [site], "{label}");
        }
    }

    #[test]
    fn the_settings_group_domains() {
        let text = "[site.\"acme\"]\ndomains = [\"acme.example\", \"Bücher.de\"]\nconnections = 1\n\
                    [site.\"aol.com\"]\ndomains = [\"aol.com\"]\n[site.\"hotmail.com\"]\ndomains = [\"acme.org\"]\n";
        let (groups, sites) = read_text(text).unwrap();
        let names: Vec<&String> = sites.keys().collect();
        assert_eq!(names, ["acme", "aol.com", "outlook.com"]);
        for (domain, site) in [
            ("acme.example", "acme"),
            ("xn--bcher-kva.de", "acme"),
            ("aol.com", "aol.com"),
            ("acme.org", "outlook.com"),
            ("hotmail.com", "outlook.com"),
        ] {
            assert_eq!(groups.of(domain), site);
        }
    }

    #[test]
    fn says_which_table_is_wrong() {
        for (text, error) in [
            (
                "[site.\"a b\"]\n",
                "mailq.toml:1:7: `site.\"a b\"` is not a domain: a space is not allowed in a domain",
            ),
            (
                "[site.\"gmail\"]\n",
                "mailq.toml:1:7: `site.\"gmail\"` is not a domain: the domain has no dot",
            ),
            (
                "[site.\"gmail.com\"]\n[site.\"googlemail.com\"]\n",
                "mailq.toml:2:7: `site.\"googlemail.com\"` is the same site as `site.\"gmail.com\"`",
            ),
            (
                "[site.\"a b\"]\ndomains = [\"a.example\"]\n",
                "mailq.toml:1:7: `site.\"a b\"` is not a name of letters",
            ),
            (
                "[site.\"a\"]\ndomains = [\"a.example\"]\n[site.\"b\"]\ndomains = [\"a.example\"]\n",
                "mailq.toml:3:7: `site.\"b\".domains` names `a.example`, which belongs to site `a`",
            ),
            (
                "[site.\"acme\"]\ndomains = [\"gmail.com\"]\n[site.\"gmail.com\"]\nrate = \"1/s\"\n",
                "mailq.toml:3:7: `site.\"gmail.com\"` is a table for `gmail.com`, which belongs to site `acme`",
            ),
            (
                "[site.\"Gmail.com\"]\nrate = \"1/s\"\n[site.\"acme\"]\ndomains = [\"gmail.com\"]\n",
                "mailq.toml:1:7: `site.\"Gmail.com\"` is a table for `gmail.com`, which belongs to site `acme`",
            ),
            (
                "[site.\"Other\"]\ndomains = [\"a.example\"]\n",
                "mailq.toml:1:7: `site.\"Other\"` is the name for all sites without figures of their own",
            ),
            (
                "[site.\"a\"]\ndomains = [\"a\"]\n",
                "mailq.toml:2:11: `site.domains` is `a`: not a domain: the domain has no dot",
            ),
            (
                "[site.\"a\"]\ndomains = [\"b.example\", \"a\"]\n",
                "mailq.toml:2:11: `site.domains` is `b.example; a`: `a`: not a domain: the domain has no dot",
            ),
            (
                "[site.\"a\"]\ndomains = \"a.example\"\n",
                "mailq.toml:2:11: `site.domains` is a text in quotes, not a list of domains in brackets",
            ),
        ] {
            let found = read_text(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
    }
}
