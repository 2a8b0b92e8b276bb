//! Sending rates: `30/min`, `500/s`, `10000/h`, `2M/day`, `unlimited`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// At most `count` messages in any period of `window`, sent by all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    Unlimited,
    Limited { count: u64, window: Duration },
}

impl Rate {
    pub const fn per_minute(count: u64) -> Rate {
        Rate::Limited {
            count,
            window: Duration::from_secs(60),
        }
    }

    /// A rate near this one, in whole messages of the shortest unit that leaves ten or more of them.
    pub fn about(per_second: f64) -> Rate {
        let [.., (_, longest)] = UNITS;
        let units = UNITS.iter().map(|(_, seconds)| *seconds);
        let fits = |seconds: &u64| per_second * *seconds as f64 >= 10.0;
        let seconds = units.clone().find(fits).unwrap_or(longest);
        Rate::Limited {
            count: ((per_second * seconds as f64).round() as u64).max(1),
            window: Duration::from_secs(seconds),
        }
    }

    /// Messages per second, for estimates; infinite when unlimited.
    pub fn per_second(&self) -> f64 {
        match self {
            Rate::Unlimited => f64::INFINITY,
            Rate::Limited { count, window } => *count as f64 / window.as_secs_f64(),
        }
    }
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3_600), ("day", 86_400)];
const ALIASES: [(&str, &str); 7] = [
    ("sec", "s"),
    ("second", "s"),
    ("m", "min"),
    ("minute", "min"),
    ("hour", "h"),
    ("d", "day"),
    ("hr", "h"),
];

impl std::str::FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Rate, String> {
        if text == "unlimited" {
            return Ok(Rate::Unlimited);
        }
        let wrong = || {
            format!(
                "`{text}` is not a rate like `30/min`, `500/s`, `10000/h`, `2M/day` or `unlimited`"
            )
        };
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let unit = ALIASES
            .iter()
            .find(|(alias, _)| *alias == unit)
            .map_or(unit, |(_, name)| name);
        let (_, seconds) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let thousands = count.strip_suffix(['k', 'K']).map(|digits| (digits, 1_000));
        let millions = count.strip_suffix('M').map(|digits| (digits, 1_000_000));
        let (digits, factor) = thousands.or(millions).unwrap_or((count, 1));
        let count = digits
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor))
            .filter(|n| *n > 0)
            .ok_or_else(wrong)?;
        Ok(Rate::Limited {
            count,
            window: Duration::from_secs(*seconds),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Unlimited => f.write_str("unlimited"),
            Rate::Limited { count, window } => match UNITS
                .iter()
                .find(|(_, seconds)| *seconds == window.as_secs())
            {
                Some((unit, _)) => write!(f, "{count}/{unit}"),
                None => write!(f, "{count}/{}s", window.as_secs()),
            },
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_rates() {
        for (given, text) in [
            ("30/min", "30/min"),
            ("500/s", "500/s"),
            ("2M/day", "2000000/day"),
            ("10k/hour", "10000/h"),
        ] {
            let rate: Rate = given.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            assert_eq!(text.parse::<Rate>().unwrap(), rate);
        }
        for wrong in [
            "",
            "30",
            "0/min",
            "30/year",
            "/s",
            "M/s",
            "1kk/s",
            "é/s",
            "-3/s",
            "99999999999999999999/s",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
