//! The delay that a reply asks for: `try again in 300 seconds`, `retry after 5 minutes`, `in 00:05:00`.

use std::time::Duration;

/// A longer delay is ignored.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3_600);
const LEADS: [&str; 6] = [
    "again in ",
    "again after ",
    "retry in ",
    "retry after ",
    "delayed for ",
    "greylisted for ",
];

/// `text` is in lower case. `None` if it asks for no valid delay.
pub fn asked_for(text: &str) -> Option<Duration> {
    LEADS.iter().find_map(|lead| {
        let (_, rest) = text.split_once(lead)?;
        let mut words = rest
            .split(' ')
            .map(|word| word.trim_end_matches(['.', ',', ')', ';']));
        let amount = words.next()?;
        let delay = clock(amount).or_else(|| spelled(amount, words.next()))?;
        (!delay.is_zero() && delay <= MAX_DELAY).then_some(delay)
    })
}

/// `00:05:00`.
fn clock(text: &str) -> Option<Duration> {
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts?.as_slice() {
        [hours, minutes, seconds] if *hours <= 24 && *minutes < 60 && *seconds < 60 => {
            Some(Duration::from_secs(hours * 3_600 + minutes * 60 + seconds))
        }
        _ => None,
    }
}

/// `300 seconds`, `300s`, `5 min`, `1 hour`.
fn spelled(amount: &str, unit: Option<&str>) -> Option<Duration> {
    let end = amount
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(amount.len());
    let (digits, attached) = amount.split_at_checked(end)?;
    let unit = if attached.is_empty() { unit? } else { attached };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ if unit.starts_with("sec") => 1,
        _ if unit.starts_with("min") => 60,
        _ if unit.starts_with("hour") => 3_600,
        _ => return None,
    };
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_delay_in_a_reply() {
        for (text, seconds) in [
            (
                "4.7.1 greylisted, please try again in 300 seconds",
                Some(300),
            ),
            ("greylisting in action, try again in 00:04:59.", Some(299)),
            ("4.7.0 retry after 5 minutes.", Some(300)),
            ("rate exceeded (retry in 90s)", Some(90)),
            ("try again in 1 hour", Some(3_600)),
            ("try again later", None),
            ("try again in a while", None),
            ("try again in 0 seconds", None),
            ("try again in 999999999999999999999 seconds", None),
            ("try again in 18446744073709551615 hours", None),
            ("try again in 48 hours", None),
            ("try again in ", None),
            ("try again in é5 minutes", None),
            ("try again in 99:99:99", None),
        ] {
            assert_eq!(asked_for(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
