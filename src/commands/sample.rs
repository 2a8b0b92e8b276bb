//! One row of a campaign's list, for the commands that show or send a single message.

use super::Failure;
use super::campaign::Campaign;
use crate::domain::recipient::RecipientRow;
use crate::recipients::{Options, first_pass, rows};

/// The row that stands `number`th below the header, from 1. Bad rows elsewhere do not matter.
pub fn row(campaign: &Campaign, number: u64) -> Result<RecipientRow, Failure> {
    let path = &campaign.recipients;
    let options = Options {
        skip_invalid: true,
        limit: Some(number),
        ..campaign.options.clone()
    };
    let survey = first_pass(path, &options, |_| {})?;
    if survey.counts.rows < number {
        let count = survey.counts.rows;
        let what = format!("`{}` has {count} rows, and no row {number}", path.display());
        return Err(Failure::usage(what).with_hint(format!("`--row N` with N from 1 to {count}")));
    }
    let place = number.saturating_sub(1);
    let found = match survey.ordinal(place) {
        Some(row) => rows(path, &options, &survey, row..row + 1)?.next(),
        None => None,
    };
    found.transpose()?.ok_or_else(|| {
        let what = format!(
            "row {number} of `{}` gets no mail: it is bad, or repeats an address above it",
            path.display()
        );
        let check = format!("`mailq check {}` says what is wrong", campaign.file.display);
        Failure::usage(what).with_hint(check)
    })
}
