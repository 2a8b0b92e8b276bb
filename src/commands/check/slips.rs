//! Domains that are slips of the finger, and what was meant. Mail to them bounces, or goes to whoever bought them.

const SLIPS: [(&str, &str); 30] = [
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

/// The domain that was probably meant, where this one is a known slip.
pub fn meant(domain: &str) -> Option<&'static str> {
    let slip = SLIPS.iter().find(|(slip, _)| *slip == domain);
    slip.map(|(_, meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_is_meant_is_a_slip() {
        assert_eq!(meant("gmial.com"), Some("gmail.com"));
        assert_eq!(meant("example.com"), None);
        for (slip, right) in SLIPS {
            assert_eq!(meant(right), None, "{slip}");
        }
    }
}
