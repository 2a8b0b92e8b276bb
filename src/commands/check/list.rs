//! Checks every row of the list, and the messages of a sample of rows.

use super::finding::Finding;
use super::message::Samples;
use super::report::Report;
use super::typos;
use crate::commands::Failure;
use crate::commands::enqueue::{self, DIFFERING};
use crate::commands::text::counted;
use crate::domain::address::Address;
use crate::domain::recipient::RecipientRow;
use crate::recipients::{Options, RecipientsError, RowError, RowProblem, Survey, first_pass, rows};
use crate::render::Composer;
use std::path::Path;

/// For text that was decoded wrongly before it came into the list.
const GARBLED: &str =
    "export the list again as UTF-8; if the campaign names an `encoding`, check it";

/// Findings of one kind that are shown one by one.
const SHOWN: u64 = 10;
/// The first rows are all rendered, then some that are spread over the rest.
const FIRST_ROWS: u64 = 20;
const SPREAD_ROWS: u64 = 100;

/// Reads the list twice, as `enqueue` does. Only a failure of the queue is an error; all else is a finding.
pub fn check(
    path: &Path,
    options: &Options,
    composer: Option<&Composer>,
    suppressed: &dyn Fn(&Address) -> bool,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(survey) = survey(path, options, report) else {
        return Ok(());
    };
    report.counts = Some(survey.counts);
    tidied(path, &survey, report);
    let name = path.display().to_string();
    let mut addresses = AddressChecks::default();
    let mut missing = MissingValues {
        used: composer.map(Composer::used_columns).unwrap_or_default(),
        found: FirstOnes::default(),
    };
    let mut samples = composer.map(|composer| Samples::new(composer, &options.email_column));
    let accepted = survey.counts.accepted;
    let every = (accepted / SPREAD_ROWS).max(1);
    for row in rows(path, options, &survey, 0..accepted).map_err(Failure::from)? {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                report.findings.push(Finding::of_list(error));
                return Ok(());
            }
        };
        addresses.check(&name, &row, suppressed, report);
        missing.check(&name, &row, report);
        if let Some(samples) = samples.as_mut()
            && (row.row < FIRST_ROWS || row.row % every == 0 || row.row + 1 == accepted)
        {
            samples.check(&row);
        }
    }
    missing.found.rest(&name, "W23", "cells like these", report);
    addresses.finish(&name, report);
    repeated(&survey, report);
    if let Some(samples) = samples {
        samples.finish(report);
    }
    if accepted == 0 {
        let what = format!("{name} has no row that can be mailed");
        let hint = "put an address below the header row";
        report.findings.push(Finding::error("E30", what, hint));
    }
    Ok(())
}

/// The first pass, with a finding for each of the first invalid rows. `None` if the list cannot be used.
fn survey(path: &Path, options: &Options, report: &mut Report) -> Option<Survey> {
    let mut bad = FirstOnes::default();
    let mut shown: Vec<RowError> = Vec::new();
    let survey = first_pass(path, options, |row, _| {
        // The rows of one mail have one error.
        if shown.last() != Some(&row.error) && bad.is_shown() {
            shown.push(row.error.clone());
        }
    });
    // One finding about the encoding is enough.
    let is_encoding = matches!(survey, Err(RecipientsError::Encoding { .. }));
    shown.retain(|error| !is_encoding || !matches!(error.what, RowProblem::NotUtf8));
    report.findings.extend(shown.iter().map(Finding::of_row));
    match survey {
        Ok(survey) => {
            let name = path.display().to_string();
            bad.rest(&name, "E30", "invalid rows", report);
            Some(survey)
        }
        Err(error) => {
            report.findings.push(Finding::of_list(error));
            None
        }
    }
}

/// A finding about rows with the address of an earlier one.
fn repeated(survey: &Survey, report: &mut Report) {
    let Some(first) = &survey.repeated else {
        return;
    };
    let (id, hint) = match first.differs {
        true => ("W38", DIFFERING),
        false => (
            "W33",
            "remove the rows if the addresses are wrong; each address gets one mail",
        ),
    };
    let what = enqueue::repeated(first);
    report.findings.push(Finding::warning(id, what, hint));
}

/// Findings about what was put right while the list was read, and about its text.
fn tidied(path: &Path, survey: &Survey, report: &mut Report) {
    let cleaned = survey.counts.tidied.cleaned_addresses;
    if cleaned > 0 {
        let addresses = counted(cleaned, "address");
        let what = format!(
            "{}: {addresses} with spaces, marks or a name around it; a name stands in `To`, the rest is left out",
            path.display()
        );
        report
            .findings
            .push(Finding::warning("W37", what, "nothing to do"));
    }
    if let Some(garbled) = &survey.garbled {
        let rows = counted(survey.counts.tidied.garbled_rows, "row");
        let what = format!("{garbled} ({rows} like this)");
        report.findings.push(Finding::warning("W36", what, GARBLED));
    }
}

/// Counts findings of one kind. Only the first ones are shown.
#[derive(Default)]
struct FirstOnes {
    count: u64,
}

impl FirstOnes {
    fn is_shown(&mut self) -> bool {
        self.count += 1;
        self.count <= SHOWN
    }

    fn rest(&self, name: &str, id: &'static str, of: &str, report: &mut Report) {
        let more = self.count.saturating_sub(SHOWN);
        if more == 0 {
            return;
        }
        let what = format!("{name}: {more} more {of}");
        let finding = match id.starts_with('E') {
            true => Finding::error(
                id,
                what,
                "`mailq enqueue --skip-invalid` writes them all to a file",
            ),
            false => Finding::warning(id, what, "fix them like those above"),
        };
        report.findings.push(finding);
    }
}

/// What databases and spreadsheets write for a value that is not there. `Null` is a name.
const MISSING: [&str; 16] = [
    "NULL",
    "null",
    "(null)",
    "nil",
    "None",
    "undefined",
    "nan",
    "NaN",
    "NAN",
    "NaT",
    "<NA>",
    "\\N",
    "#N/A",
    "#REF!",
    "#VALUE!",
    "#DIV/0!",
];

/// Cells that say that there is no value, in columns that templates use.
struct MissingValues {
    used: Vec<(usize, String)>,
    found: FirstOnes,
}

impl MissingValues {
    fn check(&mut self, name: &str, row: &RecipientRow, report: &mut Report) {
        for (index, column) in &self.used {
            let cell = row.fields.get(*index).map_or("", |cell| cell.trim());
            let is_missing = MISSING.contains(&cell) || cell == "#NAME?" || cell == "#NUM!";
            if is_missing && self.found.is_shown() {
                report.findings.push(Finding::warning(
                    "W23",
                    format!("{name}:{}: column `{column}` is `{cell}`, which is mailed as it stands", row.line),
                    "empty the cell, and give a default in the template: `{{ name | default(\"…\", true) }}`",
                ));
            }
        }
    }
}

/// Findings about addresses that are valid.
#[derive(Default)]
struct AddressChecks {
    typos: FirstOnes,
    suppressed: u64,
    international: u64,
}

impl AddressChecks {
    fn check(
        &mut self,
        name: &str,
        row: &RecipientRow,
        suppressed: &dyn Fn(&Address) -> bool,
        report: &mut Report,
    ) {
        if let Some(meant) = typos::meant(row.address.domain())
            && self.typos.is_shown()
        {
            report.findings.push(Finding::warning(
                "W34",
                format!(
                    "{name}:{}: `{}` looks like a typo",
                    row.line,
                    row.address.as_str()
                ),
                format!("if it should be `{}@{meant}`, fix it", row.address.local()),
            ));
        }
        self.suppressed += u64::from(suppressed(&row.address));
        self.international += u64::from(row.address.needs_smtputf8());
    }

    fn finish(&self, name: &str, report: &mut Report) {
        self.typos.rest(name, "W34", "typos like these", report);
        let suppressed = counted(self.suppressed, "suppressed address");
        let international = counted(self.international, "address");
        for (count, id, what, hint) in [
            (
                self.suppressed,
                "W35",
                format!("{suppressed}, not mailed"),
                "`mailq suppress check ADDRESS` shows why, `mailq suppress remove ADDRESS` removes it",
            ),
            (
                self.international,
                "W32",
                format!(
                    "{international} with non-ASCII characters before the `@`, for relays with SMTPUTF8 only"
                ),
                "`mailq check CAMPAIGN.toml --relay` shows whether yours offers it",
            ),
        ] {
            if count > 0 {
                let what = format!("{name}: {what}");
                report.findings.push(Finding::warning(id, what, hint));
            }
        }
    }
}
