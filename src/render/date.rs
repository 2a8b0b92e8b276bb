//! Dates in templates: how a text is read as a date, how dates compare, and the filter `date`, which writes them.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use minijinja::value::{DynObject, Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, Value};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A date, with the text that it came from.
#[derive(Debug, Clone)]
pub struct DateCell {
    text: String,
    civil: DateTime,
    /// For a text with an offset from UTC.
    instant: Option<Timestamp>,
}

/// Names of days and months by locale: Monday to Sunday, January to December.
const LOCALES: [(&str, &str, &str); 7] = [
    (
        "en",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "January February March April May June July August September October November December",
    ),
    (
        "de",
        "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    ),
    (
        "fr",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    ),
    (
        "es",
        "lunes martes miércoles jueves viernes sábado domingo",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    ),
    (
        "it",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    ),
    (
        "nl",
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
        "januari februari maart april mei juni juli augustus september oktober november december",
    ),
    (
        "pt",
        "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    ),
];

impl DateCell {
    /// `2026-12-01`, `2026-12-01 09:00`, `2026-12-01T09:00:00+01:00` or `1.12.2026`. Errors: what the text is not.
    pub fn parse(text: &str) -> Result<DateCell, String> {
        let text = text.trim();
        let date = |civil, instant| DateCell {
            text: text.to_string(),
            civil,
            instant,
        };
        if let Ok(pieces) = jiff::fmt::temporal::DateTimeParser::new().parse_pieces(text) {
            let civil = pieces.date().to_datetime(pieces.time().unwrap_or_default());
            let instant = pieces.offset().and_then(|_| text.parse().ok());
            return Ok(date(civil, instant));
        }
        match Date::strptime("%d.%m.%Y", text) {
            Ok(day) => Ok(date(day.to_datetime(Default::default()), None)),
            Err(_) if text.contains('/') => Err(
                "not a date like `2026-12-01`; with `/` day and month cannot be told apart".into(),
            ),
            Err(_) => Err("not a date like `2026-12-01` or `2026-12-01 09:00`".into()),
        }
    }

    /// The time at which the campaign was loaded, in the time zone of the host.
    pub fn of(now: &Zoned) -> DateCell {
        DateCell {
            text: now.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            civil: now.datetime(),
            instant: Some(now.timestamp()),
        }
    }

    fn format(&self, format: &str, locale: &str, zone: Option<&str>) -> Result<String, String> {
        if !format.contains('%') {
            return Err(format!(
                "`{format}` is no format of a date: write it like `%d.%m.%Y`"
            ));
        }
        let civil = match zone {
            None => self.civil,
            Some(name) => {
                let zone = TimeZone::get(name).map_err(|_| format!("no time zone `{name}`"))?;
                match self.instant {
                    Some(instant) => instant.to_zoned(zone).datetime(),
                    None => {
                        return Err(format!(
                            "`{}` says no time zone, so it cannot be converted to `{name}`",
                            self.text
                        ));
                    }
                }
            }
        };
        let format = translated(format, civil, locale)?;
        strtime::format(&format, civil).map_err(|error| error.to_string())
    }
}

/// The format with names of days and months filled in.
fn translated(format: &str, civil: DateTime, locale: &str) -> Result<String, String> {
    let language = locale.split(['_', '-']).next().unwrap_or_default();
    let found = LOCALES
        .iter()
        .find(|(name, _, _)| name.eq_ignore_ascii_case(language));
    let Some((_, days, months)) = found else {
        let known: Vec<&str> = LOCALES.iter().map(|(name, _, _)| *name).collect();
        return Err(format!(
            "no locale `{locale}` (locales: {})",
            known.join(", ")
        ));
    };
    let nth = |names: &str, number: i8| {
        let index = usize::try_from(number - 1).unwrap_or_default();
        names.split(' ').nth(index).unwrap_or_default().to_string()
    };
    let day = nth(days, civil.weekday().to_monday_one_offset());
    let month = nth(months, civil.month());
    let short = |name: &str| name.chars().take(3).collect::<String>();
    let mut written = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        match (c, if c == '%' { characters.next() } else { None }) {
            ('%', Some('A')) => written.push_str(&day),
            ('%', Some('a')) => written.push_str(&short(&day)),
            ('%', Some('B')) => written.push_str(&month),
            ('%', Some('b' | 'h')) => written.push_str(&short(&month)),
            (c, Some(next)) => written.extend([c, next]),
            (c, None) => written.push(c),
        }
    }
    Ok(written)
}

impl fmt::Display for DateCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Object for DateCell {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<DateCell>()?;
        Some(match (self.instant, other.instant) {
            (Some(mine), Some(theirs)) => mine.cmp(&theirs),
            _ => self.civil.cmp(&other.civil),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// The function `parse_date("2026-12-01")`.
pub fn parse(text: &str) -> Result<Value, Error> {
    let date =
        DateCell::parse(text).map_err(|why| invalid(format!("`{}` is {why}", shown(text))))?;
    Ok(Value::from_object(date))
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// The filter `date`: `{{ when | date("%d. %B %Y", locale="de", tz="Europe/Berlin") }}`.
pub fn filter(value: &Value, format: Option<&str>, options: Kwargs) -> Result<String, Error> {
    let given: Option<&str> = options.get("format")?;
    let locale: Option<&str> = options.get("locale")?;
    let zone: Option<&str> = options.get("tz")?;
    options.assert_all_used()?;
    let format = format.or(given).unwrap_or("%Y-%m-%d");
    let written = match value.downcast_object_ref::<DateCell>() {
        Some(date) => date.format(format, locale.unwrap_or("en"), zone),
        None => {
            let text = value.to_string();
            let date = DateCell::parse(&text);
            let date = date.map_err(|why| invalid(format!("`{}` is {why}", shown(&text))))?;
            date.format(format, locale.unwrap_or("en"), zone)
        }
    };
    written.map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        text: &str,
        format: &str,
        locale: &str,
        zone: Option<&str>,
    ) -> Result<String, String> {
        DateCell::parse(text)?.format(format, locale, zone)
    }

    #[test]
    fn writes_dates_in_other_forms() {
        for (text, format, locale, wanted) in [
            ("2026-12-01", "%d.%m.%Y", "en", "01.12.2026"),
            ("1.12.2026", "%Y-%m-%d", "en", "2026-12-01"),
            ("2026-12-01 09:05", "%H:%M", "en", "09:05"),
            ("2026-12-01T09:05:00Z", "%-d %B", "fr_FR", "1 décembre"),
            (
                "2026-03-01",
                "%a, %A %b 100%%",
                "de",
                "Son, Sonntag Mär 100%",
            ),
        ] {
            assert_eq!(written(text, format, locale, None).as_deref(), Ok(wanted));
        }
        let at = written("2026-12-01T09:05:00Z", "%H:%M", "en", Some("Asia/Shanghai"));
        assert_eq!(at.as_deref(), Ok("17:05"));
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, format, locale, wanted) in [
            ("12/01/2026", "%d", "en", "day and month"),
            ("soon", "%d", "en", "not a date like"),
            ("2026-12-01", "d.m.Y", "en", "write it like `%d.%m.%Y`"),
            ("2026-12-01", "%d", "xx", "no locale `xx`"),
            ("2026-12-01", "%!", "en", ""),
        ] {
            let error = written(text, format, locale, None).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
