//! Times as people write and read them: RFC 3339, `2026-12-01 09:00` or `09:00`, in the time zone of the host.

use super::Failure;
use super::text::plain;
use crate::domain::duration;
use crate::domain::send_windows;
use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use std::time::{Duration, SystemTime};

/// For `--at`: `09:00` is the next one. Errors: the text, and the forms that are accepted.
pub fn parse_at(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let at = civil(text, now)?.to_zoned(now.time_zone().clone());
    Ok(at.map_err(|_| too_far(text))?.timestamp())
}

fn too_far(text: &str) -> String {
    format!("`{text}` is too far in the future")
}

/// What the clock of this host shows then.
fn civil(text: &str, now: &Zoned) -> Result<DateTime, String> {
    match Time::strptime("%H:%M", text) {
        Ok(time) => {
            let today = now.date().to_datetime(time);
            match today > now.datetime() {
                true => Ok(today),
                false => today.checked_add(1.day()).map_err(|_| too_far(text)),
            }
        }
        // `2026-12-01 09:00` and `2026-12-01T09:00:00` alike.
        Err(_) => text.parse::<DateTime>().map_err(|_| {
            format!(
                "`{text}` is not a time like `2026-12-01T09:00:00Z`, `2026-12-01 09:00` or `09:00`"
            )
        }),
    }
}

/// Of a time that does not exist, because the clock goes forward over it: what [`parse_at`] takes it for.
pub fn skipped(text: &str, now: &Zoned) -> Option<String> {
    if text.parse::<Timestamp>().is_ok() {
        return None;
    }
    let civil = civil(text, now).ok()?;
    let at = now.time_zone().to_ambiguous_zoned(civil);
    if !matches!(at.offset(), AmbiguousOffset::Gap { .. }) {
        return None;
    }
    let meant = civil.strftime("%Y-%m-%d %H:%M");
    let taken = at.compatible().ok()?.strftime("%H:%M %Z").to_string();
    Some(format!(
        "{meant} does not exist in the time zone of this host, because the clock goes forward; it is taken as {taken}"
    ))
}

/// `zone`: the variable `TZ`. Errors: it names no time zone. Every local time would silently be UTC.
pub fn check_zone(zone: Option<&str>) -> Result<(), Failure> {
    let Some(zone) = zone else {
        return Ok(());
    };
    TimeZone::try_system().map(drop).map_err(|_| {
        let zone = plain(zone, 80);
        Failure::usage(format!(
            "`TZ` is `{zone}`, which is no time zone of this host; nothing was done"
        ))
        .with_hint("name one like `Europe/Berlin`, or unset `TZ` to use the host's")
    })
}

/// Beyond this a forecast says nothing.
const LONGEST_ESTIMATE: Duration = Duration::from_secs(365 * 86_400);

/// How long something takes, at least a second. `None`: above a year, or without end.
pub fn estimate(seconds: f64) -> Option<String> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    let whole = Duration::from_secs(time.as_secs().max(1));
    (whole <= LONGEST_ESTIMATE).then(|| duration::human(whole))
}

/// Seconds after which a time counts as past: a command that is typed for this minute takes some.
const PAST_SECONDS: i64 = 60;

/// Errors: the time is past, with both times.
pub fn require_future(at: Timestamp, now: &Zoned) -> Result<(), String> {
    match now.timestamp().as_second().saturating_sub(at.as_second()) > PAST_SECONDS {
        false => Ok(()),
        true => Err(format!(
            "{} is past, it is {} now",
            with_zone(at),
            with_zone(now.timestamp())
        )),
    }
}

/// `2026-12-01 09:00 CET`, in the time zone of the host.
pub fn with_zone(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::system());
    let form = if at.second() == 0 {
        "%Y-%m-%d %H:%M %Z"
    } else {
        "%Y-%m-%d %H:%M:%S %Z"
    };
    at.strftime(form).to_string()
}

/// For `--since`: a time, or a duration before now (`2h`, `7d`).
pub fn parse_since(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(back) = duration::parse(text) {
        return now
            .timestamp()
            .checked_sub(back)
            .map_err(|_| format!("`{text}` is too long ago"));
    }
    match Time::strptime("%H:%M", text) {
        Ok(_) => {
            let next = parse_at(text, now)?;
            let before = next.to_zoned(now.time_zone().clone()).checked_sub(1.day());
            let before = before.map_err(|error| error.to_string())?;
            Ok(before.timestamp())
        }
        Err(_) => parse_at(text, now),
    }
}

/// The time of a record (RFC 3339) for people: in the time zone of the host, with the date unless it is today.
pub fn local(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => local_time(at.into()),
        Err(_) => plain(text, 40),
    }
}

/// `09:14:05`, with the date unless it is today.
pub fn local_time(at: SystemTime) -> String {
    let Ok(at) = Timestamp::try_from(at) else {
        return "a later time".to_string();
    };
    let (at, now) = (at.to_zoned(TimeZone::system()), Zoned::now());
    let form = if at.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    at.strftime(form).to_string()
}

/// `outside the send windows, next Mon 09:00 Europe/Berlin`.
pub fn outside_windows(next: &Zoned, now: SystemTime) -> String {
    let next = send_windows::describe(next, now);
    format!("outside the send windows, next {next}")
}

/// The current time in the form of records: `2026-12-01T09:00:00Z`.
pub fn now_in_utc() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-21T10:30:00+08:00[+08:00]".parse().unwrap()
    }

    #[test]
    fn parses_times_in_the_time_zone_of_the_host() {
        for (text, at) in [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
            ("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00Z"),
            ("2026-12-01 09:00", "2026-12-01T01:00:00Z"),
            ("2026-12-01T09:00:00", "2026-12-01T01:00:00Z"),
            ("2026-12-01T09:00", "2026-12-01T01:00:00Z"),
            ("2026-12-01 09:00:30", "2026-12-01T01:00:30Z"),
            ("11:00", "2026-11-21T03:00:00Z"),
            ("10:30", "2026-11-22T02:30:00Z"),
            ("09:00", "2026-11-22T01:00:00Z"),
        ] {
            assert_eq!(parse_at(text, &now()).unwrap().to_string(), at, "{text}");
        }
        for wrong in ["", "soon", "25:00", "2026-13-01 09:00", "2026-02-30 09:00"] {
            assert!(parse_at(wrong, &now()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn says_that_a_time_is_skipped() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now: Timestamp = "2027-03-27T12:00:00Z".parse().unwrap();
        let now = now.to_zoned(zone);
        for text in ["02:30", "2027-03-28 02:30"] {
            let said = skipped(text, &now).unwrap();
            assert!(
                said.starts_with("2027-03-28 02:30 does not exist"),
                "{said}"
            );
            assert!(said.ends_with("taken as 03:30 CEST"), "{said}");
        }
        for text in [
            "03:00",
            "01:59",
            "2027-10-31 02:30",
            "2027-03-28T02:30:00Z",
            "soon",
        ] {
            assert_eq!(skipped(text, &now), None, "{text}");
        }
    }

    #[test]
    fn refuses_times_that_are_past() {
        for (text, is_past) in [
            ("2025-12-01 09:00", true),
            ("2026-11-21 10:28", true),
            ("2026-11-21 10:29:10", false),
            ("2026-11-21 10:31", false),
        ] {
            let at = parse_at(text, &now()).unwrap();
            assert_eq!(require_future(at, &now()).is_err(), is_past, "{text}");
        }
    }

    #[test]
    fn parses_times_before_now() {
        for (text, at) in [
            ("2h", "2026-11-21T00:30:00Z"),
            ("09:00", "2026-11-21T01:00:00Z"),
            ("11:00", "2026-11-20T03:00:00Z"),
            ("2026-11-01 00:00", "2026-10-31T16:00:00Z"),
        ] {
            assert_eq!(parse_since(text, &now()).unwrap().to_string(), at, "{text}");
        }
    }
}
