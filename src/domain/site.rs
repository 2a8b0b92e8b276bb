//! The site of a domain: one name for all domains of a receiving provider, because they share its limits.

/// A domain, and the site that it belongs to.
const DOMAINS: &[(&str, &str)] = &[
    ("googlemail.com", "gmail.com"),
    ("ymail.com", "yahoo.com"),
    ("rocketmail.com", "yahoo.com"),
    ("passport.com", "outlook.com"),
    ("me.com", "icloud.com"),
    ("mac.com", "icloud.com"),
    ("foxmail.com", "qq.com"),
    ("126.com", "163.com"),
    ("yeah.net", "163.com"),
];

/// First label of the domains of providers with a domain per country (`yahoo.co.uk`, `hotmail.fr`), and their site.
const FAMILIES: &[(&str, &str)] = &[
    ("yahoo", "yahoo.com"),
    ("hotmail", "outlook.com"),
    ("outlook", "outlook.com"),
    ("live", "outlook.com"),
    ("msn", "outlook.com"),
];

/// The site of a domain in lower-case A-labels. A domain that is not in the tables is its own site.
pub fn of(domain: &str) -> &str {
    let named = DOMAINS.iter().find(|(known, _)| *known == domain);
    if let Some((_, site)) = named {
        return site;
    }
    let Some((family, suffix)) = domain.split_once('.') else {
        return domain;
    };
    match FAMILIES.iter().find(|(known, _)| *known == family) {
        Some((_, site)) if is_country_suffix(suffix) => site,
        _ => domain,
    }
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

    #[test]
    fn groups_the_domains_of_a_provider() {
        for (domain, site) in [
            ("gmail.com", "gmail.com"),
            ("googlemail.com", "gmail.com"),
            ("hotmail.com", "outlook.com"),
            ("live.co.uk", "outlook.com"),
            ("msn.com", "outlook.com"),
            ("yahoo.com.br", "yahoo.com"),
            ("yahoo.fr", "yahoo.com"),
            ("mac.com", "icloud.com"),
            ("foxmail.com", "qq.com"),
            ("yeah.net", "163.com"),
            ("live.example", "live.example"),
            ("outlook.evil.org", "outlook.evil.org"),
            ("example.org", "example.org"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(of(domain), site);
        }
    }
}
