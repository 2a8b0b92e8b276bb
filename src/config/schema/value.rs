//! The types that a key may have: how a value is written, and what is wrong with a text that is none.

use crate::domain::duration;
use crate::domain::rate::Rate;
use crate::smtp::UrlError;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// The smallest and the largest value of a key, both allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limits {
    None,
    Whole(i64, i64),
    Decimal(f64, f64),
    Span(Duration, Duration),
}

/// Why a text is not a value of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueError {
    /// Completes "is `value`: …".
    Form(String),
    /// Completes "`key` …"; the value is not shown because it may hold a secret.
    Hidden(String),
    Relay(UrlError),
}

/// How a file has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `"1m"`
    Quoted,
    /// `20`
    Bare,
    /// `["a", "b"]`
    List,
}

/// A type that a key may have. Values arrive as text, whether from a flag, a variable or the file.
pub trait Value: Sized {
    const FORM: Form = Form::Quoted;

    /// For people, after "is" or "is not".
    fn expects(limits: &Limits) -> String;

    /// The text of a TOML value; `None`: it has another type.
    fn text_of(value: &DeValue<'_>) -> Option<String> {
        value.as_str().map(str::to_string)
    }

    fn parse(text: &str, limits: &Limits) -> Result<Self, ValueError>;

    /// Which values there are, for the manual. `None`: the texts of the key say it.
    fn values(_limits: &Limits) -> Option<String> {
        None
    }

    /// Makes a relative path in the value absolute.
    fn resolve(self, _folder: &Path) -> Self {
        self
    }
}

/// A type that a list in brackets may hold.
pub trait ListItem: Sized {
    /// For people, after "a list of".
    const EXPECTS: &'static str;

    /// Errors: completes "`value`: …".
    fn parse(text: &str) -> Result<Self, String>;
}

/// Between the items of a list that is one text. No item contains it.
pub const BETWEEN: char = ';';

/// A type with few values, each with a name.
pub trait Choice: Copy + 'static {
    const NAMES: &'static [(&'static str, Self)];
}

/// "not" and what was expected.
fn wrong<T: Value>(limits: &Limits) -> ValueError {
    ValueError::Form(format!("not {}", T::expects(limits)))
}

/// A text that says something on one line.
fn checked_text(text: &str) -> Result<&str, ValueError> {
    let why = match text {
        "" => "it must not be empty",
        text if text.contains(char::is_control) => "a line break or another control character",
        text => return Ok(text),
    };
    Err(ValueError::Form(why.to_string()))
}

impl Value for String {
    fn expects(_: &Limits) -> String {
        "a text in quotes".into()
    }

    fn parse(text: &str, _: &Limits) -> Result<String, ValueError> {
        checked_text(text).map(str::to_string)
    }
}

impl Value for PathBuf {
    fn expects(_: &Limits) -> String {
        "a path in quotes".into()
    }

    fn parse(text: &str, _: &Limits) -> Result<PathBuf, ValueError> {
        checked_text(text).map(PathBuf::from)
    }

    fn resolve(self, folder: &Path) -> PathBuf {
        let path = folder.join(self);
        // Only tidies: `./` and double slashes go.
        std::path::absolute(&path).unwrap_or(path)
    }
}

impl Value for Rate {
    fn expects(_: &Limits) -> String {
        "a rate like `\"30/min\"`, `\"500/s\"` or `\"unlimited\"`".into()
    }

    fn parse(text: &str, limits: &Limits) -> Result<Rate, ValueError> {
        text.parse().map_err(|_| wrong::<Rate>(limits))
    }
}

impl Value for Duration {
    fn expects(_: &Limits) -> String {
        "a duration like `\"500ms\"`, `\"30s\"`, `\"1h\"` or `\"7d\"`".into()
    }

    fn parse(text: &str, limits: &Limits) -> Result<Duration, ValueError> {
        let span = duration::parse(text).map_err(|_| wrong::<Duration>(limits))?;
        match *limits {
            Limits::Span(low, high) if !(low..=high).contains(&span) => {
                let (low, high) = (duration::human(low), duration::human(high));
                Err(ValueError::Form(format!(
                    "not between `{low}` and `{high}`"
                )))
            }
            _ => Ok(span),
        }
    }

    fn values(limits: &Limits) -> Option<String> {
        match *limits {
            Limits::Span(low, high) => {
                let (low, high) = (duration::human(low), duration::human(high));
                Some(format!("From `{low}` to `{high}`"))
            }
            _ => None,
        }
    }
}

/// A whole number that fits both the key's limits and the type.
fn whole<T: Value + TryFrom<i64>>(text: &str, limits: &Limits) -> Result<T, ValueError> {
    let number: i64 = text.parse().map_err(|_| wrong::<T>(limits))?;
    let fits = match *limits {
        Limits::Whole(low, high) => (low..=high).contains(&number),
        _ => true,
    };
    let number = fits.then(|| T::try_from(number).ok()).flatten();
    number.ok_or_else(|| wrong::<T>(limits))
}

fn expects_whole(limits: &Limits) -> String {
    match limits {
        Limits::Whole(low, high) => format!("a whole number from {low} to {high}"),
        _ => "a whole number".into(),
    }
}

fn values_whole(limits: &Limits) -> Option<String> {
    match limits {
        Limits::Whole(low, high) => Some(format!("A whole number from {low} to {high}")),
        _ => None,
    }
}

/// Without the radix and the underscores that TOML allows.
fn text_of_whole(value: &DeValue<'_>) -> Option<String> {
    let number = value.as_integer()?;
    let decimal = i64::from_str_radix(number.as_str(), number.radix());
    Some(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
}

impl Value for u32 {
    const FORM: Form = Form::Bare;

    fn expects(limits: &Limits) -> String {
        expects_whole(limits)
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        text_of_whole(value)
    }

    fn parse(text: &str, limits: &Limits) -> Result<u32, ValueError> {
        whole(text, limits)
    }

    fn values(limits: &Limits) -> Option<String> {
        values_whole(limits)
    }
}

impl Value for i16 {
    const FORM: Form = Form::Bare;

    fn expects(limits: &Limits) -> String {
        expects_whole(limits)
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        text_of_whole(value)
    }

    fn parse(text: &str, limits: &Limits) -> Result<i16, ValueError> {
        whole(text, limits)
    }

    fn values(limits: &Limits) -> Option<String> {
        values_whole(limits)
    }
}

impl Value for NonZeroU32 {
    const FORM: Form = Form::Bare;

    fn expects(limits: &Limits) -> String {
        expects_whole(limits)
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        text_of_whole(value)
    }

    fn parse(text: &str, limits: &Limits) -> Result<NonZeroU32, ValueError> {
        NonZeroU32::new(whole(text, limits)?).ok_or_else(|| wrong::<NonZeroU32>(limits))
    }

    fn values(limits: &Limits) -> Option<String> {
        values_whole(limits)
    }
}

impl Value for f64 {
    const FORM: Form = Form::Bare;

    fn expects(limits: &Limits) -> String {
        match limits {
            Limits::Decimal(low, high) => format!("a number from {low} to {high}"),
            _ => "a number".into(),
        }
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::Float(number) => Some(number.to_string()),
            other => text_of_whole(other),
        }
    }

    fn parse(text: &str, limits: &Limits) -> Result<f64, ValueError> {
        let number: f64 = text.parse().map_err(|_| wrong::<f64>(limits))?;
        // `contains` refuses NaN, which is neither below nor above anything.
        match *limits {
            Limits::Decimal(low, high) if !(low..=high).contains(&number) => {
                Err(wrong::<f64>(limits))
            }
            _ => Ok(number),
        }
    }

    fn values(limits: &Limits) -> Option<String> {
        match limits {
            Limits::Decimal(low, high) => Some(format!("A number from {low} to {high}")),
            _ => None,
        }
    }
}

impl Value for bool {
    const FORM: Form = Form::Bare;

    fn expects(_: &Limits) -> String {
        "`true` or `false`".into()
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        value.as_bool().map(|flag| flag.to_string())
    }

    fn parse(text: &str, limits: &Limits) -> Result<bool, ValueError> {
        text.parse().map_err(|_| wrong::<bool>(limits))
    }

    fn values(limits: &Limits) -> Option<String> {
        Some(format!("Values: {}", bool::expects(limits)))
    }
}

impl<T: ListItem> Value for Vec<T> {
    const FORM: Form = Form::List;

    fn expects(_: &Limits) -> String {
        format!("a list of {} in brackets", T::EXPECTS)
    }

    fn text_of(value: &DeValue<'_>) -> Option<String> {
        let items = value.as_array()?.iter();
        let items: Option<Vec<&str>> = items.map(|item| item.get_ref().as_str()).collect();
        Some(items?.join(&format!("{BETWEEN} ")))
    }

    fn parse(text: &str, limits: &Limits) -> Result<Vec<T>, ValueError> {
        if text.trim().is_empty() {
            return Err(wrong::<Vec<T>>(limits));
        }
        let items = text.split(BETWEEN).map(str::trim);
        let items = items.map(|item| {
            let named = |why| match item == text {
                true => why,
                false => format!("`{item}`: {why}"),
            };
            T::parse(item).map_err(|why| ValueError::Form(named(why)))
        });
        items.collect()
    }
}

impl<T: Choice> Value for T {
    fn expects(_: &Limits) -> String {
        let names: Vec<&str> = T::NAMES.iter().map(|(name, _)| *name).collect();
        format!("one of `{}`", names.join("`, `"))
    }

    fn parse(text: &str, limits: &Limits) -> Result<T, ValueError> {
        let found = T::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| wrong::<T>(limits))
    }

    fn values(_: &Limits) -> Option<String> {
        let names: Vec<String> = T::NAMES
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        Some(format!("Values: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_value<T: Value>(text: &str, limits: Limits) -> bool {
        T::parse(text, &limits).is_ok()
    }

    #[test]
    fn keeps_numbers_within_their_limits() {
        let one_to_five = Limits::Whole(1, 5);
        assert!(is_value::<u32>("5", one_to_five));
        for wrong in ["0", "6", "-1", "", "1.5"] {
            assert!(!is_value::<u32>(wrong, one_to_five), "{wrong}");
        }
        assert!(!is_value::<NonZeroU32>("0", Limits::Whole(0, 5)));
        assert!(!is_value::<i16>("40000", Limits::None));
        assert!(!is_value::<f64>("NaN", Limits::Decimal(0.0, 1.0)));
        assert!(is_value::<f64>("1", Limits::Decimal(0.0, 1.0)));
    }

    #[test]
    fn keeps_durations_within_their_limits() {
        let limits = Limits::Span(Duration::from_secs(1), Duration::from_secs(600));
        assert!(is_value::<Duration>("10m", limits));
        let Err(ValueError::Form(why)) = Duration::parse("11m", &limits) else {
            panic!("11m is too long");
        };
        assert_eq!(why, "not between `1s` and `10m`");
    }

    #[test]
    fn refuses_empty_texts_and_control_characters() {
        for wrong in ["", "a\nb", "a\u{7f}"] {
            assert!(!is_value::<String>(wrong, Limits::None), "{wrong:?}");
            assert!(!is_value::<PathBuf>(wrong, Limits::None), "{wrong:?}");
        }
    }
}
