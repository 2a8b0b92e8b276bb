//! The site of a domain: one name for all domains of a receiving provider, because they share its limits.

mod providers;

use providers::{PROVIDERS, Provider};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Which domains are grouped into sites: by the settings, and by the shipped table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sites {
    /// A domain in lower-case A-labels, and the site that the settings give to it.
    own: BTreeMap<String, String>,
}

impl Sites {
    /// Groups a domain into a site. `Err`: it belongs to that other site already.
    pub fn group(&mut self, domain: String, site: &str) -> Result<(), String> {
        match self.own.get(&domain) {
            Some(other) if other != site => Err(other.clone()),
            _ => {
                self.own.insert(domain, site.to_string());
                Ok(())
            }
        }
    }

    /// The site of a domain in lower-case A-labels. A domain that nothing groups is its own site.
    pub fn of<'a>(&'a self, domain: &'a str) -> &'a str {
        match self.own.get(domain) {
            Some(site) => site,
            None => shipped(domain),
        }
    }

    /// The site of an address from the queue. Text without `@` is taken for a domain.
    pub fn of_address<'a>(&'a self, address: &'a str) -> &'a str {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        self.of(domain.unwrap_or(address))
    }
}

static DOMAINS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| index(|one| one.domains));
static FAMILIES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| index(|one| one.families));
static PARENTS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| index(|one| one.parents));

fn index(names: fn(&Provider) -> &'static [&'static str]) -> HashMap<&'static str, &'static str> {
    let all = PROVIDERS
        .iter()
        .flat_map(|one| names(one).iter().map(|name| (*name, one.site)));
    all.collect()
}

/// By the shipped table.
fn shipped(domain: &str) -> &str {
    if let Some(site) = DOMAINS.get(domain) {
        return site;
    }
    let Some((first, suffix)) = domain.split_once('.') else {
        return domain;
    };
    let family = FAMILIES.get(first).filter(|_| is_country_suffix(suffix));
    family
        .or_else(|| PARENTS.get(suffix))
        .copied()
        .unwrap_or(domain)
}

/// `com`, `fr`, `co.uk`, `com.br`.
fn is_country_suffix(suffix: &str) -> bool {
    let country = match suffix.split_once('.') {
        Some(("co" | "com", country)) => country,
        Some(_) => return false,
        None => suffix,
    };
    country == "com" || country.len() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address;
    use std::collections::BTreeSet;

    #[test]
    fn groups_the_domains_of_a_provider() {
        let sites = Sites::default();
        for (domain, site) in [
            ("gmail.com", "gmail.com"),
            ("googlemail.com", "gmail.com"),
            ("hotmail.com", "outlook.com"),
            ("live.co.uk", "outlook.com"),
            ("msn.com", "outlook.com"),
            ("yahoo.com.br", "yahoo.com"),
            ("yahoo.fr", "yahoo.com"),
            ("yahoo.co.jp", "yahoo.co.jp"),
            ("aol.com", "yahoo.com"),
            ("aol.co.uk", "yahoo.com"),
            ("verizon.net", "yahoo.com"),
            ("sbcglobal.net", "yahoo.com"),
            ("web.de", "gmx.net"),
            ("gmx.at", "gmx.net"),
            ("gmx.com", "gmx.net"),
            ("wanadoo.fr", "orange.fr"),
            ("ya.ru", "yandex.ru"),
            ("yandex.com.tr", "yandex.ru"),
            ("inbox.ru", "mail.ru"),
            ("hanmail.net", "daum.net"),
            ("nyc.rr.com", "charter.net"),
            ("mac.com", "icloud.com"),
            ("foxmail.com", "qq.com"),
            ("yeah.net", "163.com"),
            ("live.example", "live.example"),
            ("outlook.evil.org", "outlook.evil.org"),
            ("example.org", "example.org"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(sites.of(domain), site);
            assert_eq!(sites.of_address(&format!("a@{domain}")), site);
        }
    }

    #[test]
    fn the_settings_win_over_the_table() {
        let mut sites = Sites::default();
        sites.group("aol.com".into(), "aol.com").unwrap();
        sites.group("acme.co.uk".into(), "acme").unwrap();
        assert_eq!(sites.of("aol.com"), "aol.com");
        assert_eq!(sites.of("aol.de"), "yahoo.com");
        assert_eq!(sites.of("acme.co.uk"), "acme");
        assert_eq!(sites.group("acme.co.uk".into(), "acme"), Ok(()));
        let other = sites.group("acme.co.uk".into(), "other");
        assert_eq!(other, Err("acme".to_string()));
    }

    #[test]
    fn each_domain_of_the_table_is_listed_once_as_addresses_have_it() {
        let mut seen = BTreeSet::new();
        for one in PROVIDERS {
            assert!(one.domains.contains(&one.site), "{}", one.site);
            for name in one.domains.iter().chain(one.parents) {
                assert!(seen.insert(name), "{name}");
                assert_eq!(address::domain(name).as_deref(), Ok(*name));
            }
            for family in one.families {
                assert!(seen.insert(family) && !family.contains('.'), "{family}");
            }
        }
    }
}
