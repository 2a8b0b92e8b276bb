//! Durations as people write them: `500ms`, `30s`, `1m`, `1h`, `24h`, `7d`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Parses one number with one unit. The error quotes the text and shows valid examples.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration like `500ms`, `30s`, `5m`, `1h` or `7d`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, millis) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    number
        .checked_mul(*millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// Whole seconds (`90s`), else milliseconds (`1500ms`). Topic names use this form, so each duration has exactly one
/// text.
pub fn compact(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// The two largest units, for messages: `2h 5m`, `45s`, `300ms`.
pub fn human(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    let mut left = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if left >= seconds && parts.len() < 2 {
            parts.push(format!("{}{unit}", left / seconds));
            left %= seconds;
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_durations() {
        for (given, millis, wire) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("1m", 60_000, "60s"),
            ("7d", 604_800_000, "604800s"),
        ] {
            let duration = parse(given).unwrap();
            assert_eq!(duration.as_millis(), millis);
            assert_eq!(compact(duration), wire);
            assert_eq!(parse(wire).unwrap(), duration);
        }
        for wrong in [
            "",
            "5",
            "m",
            "5 m",
            "-5s",
            "5x",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(human(Duration::from_secs(7_500)), "2h 5m");
        assert_eq!(human(Duration::from_secs(3_601)), "1h");
        assert_eq!(human(Duration::from_secs(45)), "45s");
    }
}
