//! The figures of a line and what they should have been.

use std::fmt;

#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<(String, String)>,
    failures: Vec<String>,
}

impl Report {
    pub fn figure(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.figures.push((name.into(), value.to_string()));
    }

    pub fn fail(&mut self, why: impl Into<String>) {
        self.failures.push(why.into());
    }

    pub fn check(&mut self, holds: bool, why: impl fmt::Display) {
        if !holds {
            self.fail(why.to_string());
        }
    }

    /// A figure with the value that it must have.
    pub fn expect<T: PartialEq + fmt::Display>(&mut self, name: &str, found: T, wanted: T) {
        self.check(
            found == wanted,
            format_args!("{name} is {found}, not {wanted}"),
        );
        self.figure(name, found);
    }

    /// A figure with the most that it may be.
    pub fn at_most(&mut self, name: &str, found: u64, most: u64) {
        self.check(
            found <= most,
            format_args!("{name} is {found}, more than {most}"),
        );
        self.figure(name, format_args!("{found} (at most {most})"));
    }

    /// A figure with the least that it may be.
    pub fn at_least(&mut self, name: &str, found: f64, least: f64) {
        self.check(
            found >= least,
            format_args!("{name} is {found:.4}, less than {least}"),
        );
        self.figure(name, format_args!("{found:.4} (at least {least})"));
    }

    pub fn holds(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes over the figures of a part that ran by itself.
    pub fn join(&mut self, part: &str, other: Report) {
        let figures = other.figures.into_iter();
        self.figures
            .extend(figures.map(|(name, value)| (format!("{part}: {name}"), value)));
        let failures = other.failures.into_iter();
        self.failures
            .extend(failures.map(|why| format!("{part}: {why}")));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.figures.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or(0);
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<width$}  {value}")?;
        }
        for why in &self.failures {
            writeln!(f, "FAILED: {why}")?;
        }
        if self.holds() {
            writeln!(f, "ok")?;
        }
        Ok(())
    }
}
