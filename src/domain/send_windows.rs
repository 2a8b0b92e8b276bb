//! The hours in which mail may leave: `Mon-Fri 09:00-18:00 Europe/Berlin`. Pure. What a clock on the wall of that zone
//! shows decides, so a window is right on the days when summer time begins and ends.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use std::fmt;
use std::time::SystemTime;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// How far ahead a window is looked for. It may be a week away; on a day on which its times are skipped it does not open,
/// so two.
const DAYS_AHEAD: i64 = 14;

/// One window, on some days of each week.
#[derive(Debug, Clone, PartialEq)]
pub struct SendWindow {
    /// As it was written.
    text: String,
    /// Monday is the first.
    days: [bool; 7],
    start: Time,
    /// `None`: the end of the day.
    end: Option<Time>,
    zone: TimeZone,
}

/// When mail may leave. Without a window: always.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SendWindows(Vec<SendWindow>);

impl SendWindows {
    pub fn new(windows: Vec<SendWindow>) -> SendWindows {
        SendWindows(windows)
    }

    pub fn is_open(&self, now: SystemTime) -> bool {
        let Ok(now) = Timestamp::try_from(now) else {
            return true;
        };
        self.0.is_empty() || self.0.iter().any(|window| window.contains(now))
    }

    /// When the next window opens, in its zone. `None`: one is open, or none ever opens.
    pub fn next(&self, now: SystemTime) -> Option<Zoned> {
        let at = Timestamp::try_from(now)
            .ok()
            .filter(|_| !self.is_open(now))?;
        let next = self.0.iter().filter_map(|window| window.opens_after(at));
        next.min_by_key(Zoned::timestamp)
    }

    /// The first moment from then on at which mail may leave.
    pub fn from(&self, at: SystemTime) -> SystemTime {
        self.next(at).map_or(at, |next| next.timestamp().into())
    }
}

impl SendWindow {
    /// Days, times and a zone, as in `Mon-Fri 09:00-18:00 Europe/Berlin`. Without days: every day. Without a zone: that
    /// of the host. Errors: completes "is not a window: …".
    pub fn parse(text: &str) -> Result<SendWindow, String> {
        let mut words = text.split_whitespace().peekable();
        let first = words.peek().copied().unwrap_or_default();
        let days = match first.starts_with(|c: char| c.is_ascii_digit()) {
            true => [true; 7],
            false => days(words.next().unwrap_or_default())?,
        };
        let (start, end) = span(words.next().unwrap_or_default())?;
        let zone = match words.next() {
            None => known(TimeZone::try_system())?,
            Some(name) => TimeZone::get(name)
                .map_err(|_| format!("`{name}` is not a time zone like `Europe/Berlin`"))?,
        };
        match words.next() {
            Some(word) => Err(format!("`{word}` comes after the time zone")),
            None => Ok(SendWindow {
                text: text.to_string(),
                days,
                start,
                end,
                zone,
            }),
        }
    }

    fn contains(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let (date, time) = (local.date(), local.time());
        let begun = self.is_on(date) && time >= self.start;
        match self.end {
            None => begun,
            Some(end) if end > self.start => begun && time < end,
            // Over midnight: what began yesterday goes on in the morning.
            Some(end) => begun || (time < end && self.is_on(date.saturating_sub(1.day()))),
        }
    }

    fn is_on(&self, date: Date) -> bool {
        let index = usize::try_from(date.weekday().to_monday_zero_offset());
        let index = index.unwrap_or(usize::MAX);
        self.days.get(index).copied().unwrap_or(false)
    }

    /// The window opens when the clock shows its start, or when the clock is put forward or back into it.
    fn opens_after(&self, at: Timestamp) -> Option<Zoned> {
        let today = self.zone.to_datetime(at).date();
        let dates = (0..=DAYS_AHEAD).filter_map(|days| today.checked_add(days.days()).ok());
        let starts = dates.flat_map(|date| self.instants(date.to_datetime(self.start)));
        let last = at.checked_add((DAYS_AHEAD * 24).hours());
        let last = last.unwrap_or(Timestamp::MAX);
        let changes = self.zone.following(at).map(|change| change.timestamp());
        let changes = changes.take_while(|change| *change <= last);
        let open = starts
            .chain(changes)
            .filter(|start| *start > at && self.contains(*start));
        open.min().map(|start| start.to_zoned(self.zone.clone()))
    }

    /// When the clock of the zone shows this time: once, twice when summer time ends, and never where it skips the time.
    fn instants(&self, time: DateTime) -> Vec<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(time);
        let found = match shown.offset() {
            AmbiguousOffset::Unambiguous { .. } => vec![shown.compatible()],
            AmbiguousOffset::Fold { .. } => vec![shown.earlier(), shown.later()],
            AmbiguousOffset::Gap { .. } => Vec::new(),
        };
        found.into_iter().flatten().collect()
    }
}

impl fmt::Display for SendWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The zone of this host. UTC in its place would be a guess, and mail would leave at night.
fn known(host: Result<TimeZone, jiff::Error>) -> Result<TimeZone, String> {
    host.map_err(|_| {
        "the time zone of this host is unknown; write it, as in `Europe/Berlin`".to_string()
    })
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`.
fn days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        for offset in 0..=length {
            if let Some(day) = days.get_mut((first + offset) % 7) {
                *day = true;
            }
        }
    }
    Ok(days)
}

fn day(name: &str) -> Result<usize, String> {
    let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("`{name}` is not a day like `Mon`, `Mon-Fri` or `Sat,Sun`"))
}

/// `09:00-18:00`; `22:00-06:00` ends on the next day.
fn span(text: &str) -> Result<(Time, Option<Time>), String> {
    let wrong = || format!("`{text}` is not a time span like `09:00-18:00`");
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let time = |text: &str| Time::strptime("%H:%M", text).map_err(|_| wrong());
    let start = time(start)?;
    match end {
        "24:00" => Ok((start, None)),
        end => match time(end)? {
            end if end == start => Err(format!(
                "`{text}` has no length; the whole day is `00:00-24:00`"
            )),
            end => Ok((start, Some(end))),
        },
    }
}

/// `Mon 09:00 Europe/Berlin`. With the date if it is six days away or more, because the weekday alone could mean today.
pub fn describe(next: &Zoned, now: SystemTime) -> String {
    let is_near = Timestamp::try_from(now).is_ok_and(|now| {
        let ahead = next.timestamp().duration_since(now);
        ahead.as_secs() < 6 * 86_400
    });
    let form = if is_near {
        "%a %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    let zone = next.time_zone().iana_name();
    let zone = zone.map_or_else(|| next.strftime("%Z").to_string(), str::to_string);
    format!("{} {zone}", next.strftime(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(texts: &[&str]) -> SendWindows {
        SendWindows(
            texts
                .iter()
                .map(|text| SendWindow::parse(text).unwrap())
                .collect(),
        )
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    fn next(windows: &SendWindows, now: &str) -> String {
        windows
            .next(at(now))
            .map_or("open".to_string(), |next| next.timestamp().to_string())
    }

    #[test]
    fn without_a_window_mail_may_always_leave() {
        let always = SendWindows::default();
        assert!(always.is_open(at("2026-12-01T03:00:00Z")));
        assert_eq!(always.next(at("2026-12-01T03:00:00Z")), None);
    }

    #[test]
    fn a_window_holds_on_its_days_in_its_zone() {
        // 2026-11-27 is a Friday.
        let office = windows(&["Mon-Fri 09:00-18:00 Europe/Berlin"]);
        for (now, opens) in [
            ("2026-11-27T07:59:59Z", "2026-11-27T08:00:00Z"),
            ("2026-11-27T08:00:00Z", "open"),
            ("2026-11-27T16:59:59Z", "open"),
            ("2026-11-27T17:00:00Z", "2026-11-30T08:00:00Z"),
            ("2026-11-28T12:00:00Z", "2026-11-30T08:00:00Z"),
        ] {
            assert_eq!(next(&office, now), opens, "{now}");
        }
        assert_eq!(
            office.from(at("2026-11-28T12:00:00Z")),
            at("2026-11-30T08:00:00Z")
        );
        assert_eq!(
            office.from(at("2026-11-27T12:00:00Z")),
            at("2026-11-27T12:00:00Z")
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = windows(&["Fri 22:00-06:00 UTC"]);
        for (now, opens) in [
            ("2026-11-27T05:00:00Z", "2026-11-27T22:00:00Z"),
            ("2026-11-27T23:00:00Z", "open"),
            ("2026-11-28T05:59:59Z", "open"),
            ("2026-11-28T06:00:00Z", "2026-12-04T22:00:00Z"),
        ] {
            assert_eq!(next(&night, now), opens, "{now}");
        }
    }

    #[test]
    fn several_windows_and_lists_of_days() {
        let some = windows(&["Sat,Sun 10:00-12:00 UTC", "Fri-Mon 20:00-24:00 UTC"]);
        for (now, opens) in [
            ("2026-11-28T11:00:00Z", "open"),
            ("2026-11-28T12:00:00Z", "2026-11-28T20:00:00Z"),
            ("2026-11-30T23:59:59Z", "open"),
            ("2026-12-01T00:00:00Z", "2026-12-04T20:00:00Z"),
        ] {
            assert_eq!(next(&some, now), opens, "{now}");
        }
        let daily = windows(&["00:00-24:00 UTC"]);
        assert!(daily.is_open(at("2026-11-30T23:59:59Z")));
    }

    #[test]
    fn a_window_follows_the_clock_when_summer_time_begins_and_ends() {
        // On 2026-03-29 the clock goes from 02:00 to 03:00 (01:00 UTC), on 2026-10-25 from 03:00 back to 02:00.
        let early = windows(&["02:30-04:00 Europe/Berlin"]);
        for (now, opens) in [
            ("2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("2026-03-29T01:30:00Z", "open"),
            ("2026-03-29T02:00:00Z", "2026-03-30T00:30:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:45:00Z", "open"),
            // The clock shows 02:00 to 02:30 again.
            ("2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"),
        ] {
            assert_eq!(next(&early, now), opens, "{now}");
        }
        let back = windows(&["01:00-02:30 Europe/Berlin"]);
        for (now, opens) in [
            ("2026-10-25T00:29:59Z", "open"),
            ("2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z"),
            ("2026-10-25T01:00:00Z", "open"),
            ("2026-10-25T01:30:00Z", "2026-10-26T00:00:00Z"),
        ] {
            assert_eq!(next(&back, now), opens, "{now}");
        }
        let skipped = windows(&["Sun 02:10-02:50 Europe/Berlin"]);
        assert_eq!(
            next(&skipped, "2026-03-28T12:00:00Z"),
            "2026-04-05T00:10:00Z"
        );
    }

    #[test]
    fn refuses_what_is_no_window() {
        for (text, why) in [
            ("", "`` is not a day like"),
            ("Mon", "`` is not a time span like"),
            ("Mon-Fre 09:00-18:00", "`Fre` is not a day like"),
            ("Mon 9-18", "`9-18` is not a time span like"),
            ("Mon 09:00-25:00", "`09:00-25:00` is not a time span"),
            ("Mon 09:00-09:00", "`09:00-09:00` has no length"),
            (
                "Mon 09:00-18:00 Europe/Berlim",
                "`Europe/Berlim` is not a time zone",
            ),
            ("Mon 09:00-18:00 UTC now", "`now` comes after the time zone"),
        ] {
            let found = SendWindow::parse(text).unwrap_err();
            assert!(found.starts_with(why), "{text}: {found}");
        }
    }

    #[test]
    fn a_host_without_a_time_zone_is_an_error() {
        let unknown = known(TimeZone::get("No/Where")).unwrap_err();
        assert!(unknown.starts_with("the time zone of this host is unknown"));
        assert_eq!(known(Ok(TimeZone::UTC)), Ok(TimeZone::UTC));
    }

    #[test]
    fn says_when_the_next_window_opens() {
        let office = windows(&["Mon-Fri 09:00-18:00 Europe/Berlin"]);
        let now = at("2026-11-28T12:00:00Z");
        let next = office.next(now).unwrap();
        assert_eq!(describe(&next, now), "Mon 09:00 Europe/Berlin");
        let far = windows(&["Fri 09:00-18:00 UTC"]);
        let now = at("2026-11-27T18:00:00Z");
        let next = far.next(now).unwrap();
        assert_eq!(describe(&next, now), "2026-12-04 09:00 UTC");
    }
}
