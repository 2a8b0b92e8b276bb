//! Misspelt domains and the intended ones. Mail to them bounces, or goes to whoever registered them.

const TYPOS: [(&str, &str); 30] = [
    ("gmial.com", "gmail.com"),
    ("gmai.com", "gmail.com"),
    ("gmal.com", "gmail.com"),
    ("gmil.com", "gmail.com"),
    ("gnail.com", "gmail.com"),
    ("gamil.com", "gmail.com"),
    ("gmaill.com", "gmail.com"),
    ("gmail.co", "gmail.com"),
    ("gmail.cm", "gmail.com"),
    ("gmail.con", "gmail.com"),
    ("gmail.cmo", "gmail.com"),
    ("gmail.om", "gmail.com"),
    ("googlemail.con", "googlemail.com"),
    ("yaho.com", "yahoo.com"),
    ("yahooo.com", "yahoo.com"),
    ("yhaoo.com", "yahoo.com"),
    ("yahoo.con", "yahoo.com"),
    ("yahoo.cm", "yahoo.com"),
    ("hotmial.com", "hotmail.com"),
    ("hotmal.com", "hotmail.com"),
    ("hotmai.com", "hotmail.com"),
    ("hotmil.com", "hotmail.com"),
    ("hotmail.con", "hotmail.com"),
    ("outlok.com", "outlook.com"),
    ("outloook.com", "outlook.com"),
    ("outlook.con", "outlook.com"),
    ("iclod.com", "icloud.com"),
    ("icloud.con", "icloud.com"),
    ("qq.con", "qq.com"),
    ("163.con", "163.com"),
];

/// The domain that was probably meant, if this one is a known typo.
pub fn meant(domain: &str) -> Option<&'static str> {
    let typo = TYPOS.iter().find(|(typo, _)| *typo == domain);
    typo.map(|(_, meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_intended_domain_is_a_typo() {
        assert_eq!(meant("gmial.com"), Some("gmail.com"));
        assert_eq!(meant("example.com"), None);
        for (typo, right) in TYPOS {
            assert_eq!(meant(right), None, "{typo}");
        }
    }
}
