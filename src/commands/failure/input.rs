//! Errors of lists, campaigns and templates: exit code 2, and the hint of each variant.

use super::{Failure, GIVE};
use crate::commands::access::denied;
use crate::domain::nearest::nearest;
use crate::recipients::{
    Cure, HeaderProblem, RecipientsError, RowError, RowProblem, rejected_path,
};
use crate::render::{
    ContentError, HeaderNameProblem, Place, RenderError, SlipKind, TemplateError, TextUse,
    UnknownColumn, cell_name, declared, word_of_another_language,
};
use rustix::fs::Access;
use std::path::Path;

impl From<RecipientsError> for Failure {
    fn from(error: RecipientsError) -> Failure {
        let owned = match &error {
            RecipientsError::Unreadable { path, .. } => denied(Path::new(path), Access::READ_OK),
            RecipientsError::Unwritable { path, .. } => {
                let folder = Path::new(path)
                    .parent()
                    .filter(|f| !f.as_os_str().is_empty());
                denied(Path::new(path), Access::WRITE_OK)
                    .or_else(|| denied(folder.unwrap_or(Path::new(".")), Access::WRITE_OK))
            }
            _ => None,
        };
        if let Some(why) = owned {
            return Failure::usage(why).with_hint(GIVE);
        }
        Failure::usage(error.to_string()).with_hint(recipients_hint(&error))
    }
}

/// For a cell with several addresses.
pub const SEVERAL: &str =
    "put each address into a row of its own, or set `several = \"each\"` in the campaign file";
/// For content in a column without a name.
pub const UNNAMED: &str = "give the column a name in the header row, or delete it";
/// For `anna@example.org, "Anna"`.
pub const SPACE_BEFORE_QUOTE: &str =
    "remove the spaces between delimiter and quote, in every row: `email,\"name\"`";
/// For a mailbox with too many rows for one mail.
pub const GROUP_TOO_LARGE: &str =
    "check whether so many rows may have this address, or leave out `group`";

fn recipients_hint(error: &RecipientsError) -> String {
    match error {
        RecipientsError::Unreadable { .. } => {
            "check the path; `recipients` in the campaign file names the list".into()
        }
        RecipientsError::Unwritable { .. } => "make its folder writable".into(),
        RecipientsError::GroupEncoding { encoding, .. } => {
            format!(
                "convert the list: `iconv -f {encoding} -t utf-8 LIST.csv`, and leave out `encoding`"
            )
        }
        RecipientsError::ManyGroups { .. } => "split the list".into(),
        RecipientsError::Empty { .. } => {
            "start the list with a header row, for example `email,name`".into()
        }
        RecipientsError::Header { problem, .. } => header_hint(problem).into(),
        RecipientsError::NoEmailColumn {
            columns, nearest, ..
        } => no_email_column_hint(columns, nearest.as_deref()),
        RecipientsError::Encoding {
            guess: Some(name), ..
        } => format!(
            "set `encoding = \"{name}\"` in the campaign file, or save the list as `CSV UTF-8`"
        ),
        RecipientsError::Foreign { format, .. } => match format.cure {
            Cure::SaveAgain => {
                "open it in a spreadsheet program and save it as `.xlsx`, `.ods` or `CSV UTF-8`"
                    .into()
            }
            Cure::Unpack => "unpack it, and give the list that is in it".into(),
            Cure::Export => "export the list as CSV, with a header row such as `email,name`".into(),
        },
        RecipientsError::Workbook { .. } => {
            "open it in a spreadsheet program and save it again, or as `CSV UTF-8`".into()
        }
        RecipientsError::Uncomputed { .. } => {
            "open it in a spreadsheet program and save it again, which stores the results".into()
        }
        RecipientsError::NoSheet { .. } => "set `sheet` in the campaign file to one of them".into(),
        RecipientsError::EmptySheet { .. } => {
            "set `sheet = \"…\"` in the campaign file to the sheet with the addresses".into()
        }
        RecipientsError::Encoding { guess: None, .. } => {
            "save the list as `CSV UTF-8`, or name its `encoding` in the campaign file".into()
        }
        RecipientsError::BadRows { first, .. } => bad_rows_hint(first),
        RecipientsError::Nobody { .. } => "put an address below the header row".into(),
        RecipientsError::Unfit { hint, .. } => hint.clone(),
        RecipientsError::Changed { .. } => "run it again when no program writes to the file".into(),
    }
}

fn no_email_column_hint(columns: &[String], nearest: Option<&str>) -> String {
    let is_quoted =
        |name: &String| name.len() > 1 && name.starts_with('\'') && name.ends_with('\'');
    if columns.iter().any(is_quoted) {
        return "CSV has `\"` around cells and not `'`: export the list again, or remove the quotes"
            .into();
    }
    match (nearest, columns.len()) {
        (Some(name), _) => {
            format!("if it is `{name}`, set `email_column = \"{name}\"` in the campaign file")
        }
        (None, 1) => "put a comma, semicolon, tab or `|` between the columns; if there is only this one, set \
                      `email_column` in the campaign file"
            .into(),
        (None, _) => {
            "set `email_column = \"…\"` in the campaign file to the column of the addresses".into()
        }
    }
}

fn bad_rows_hint(rows: &[RowError]) -> String {
    let Some(first) = rows.first() else {
        return "fix the rows".into();
    };
    match first.what {
        RowProblem::Several { .. } => SEVERAL.into(),
        RowProblem::Unnamed { .. } => UNNAMED.into(),
        RowProblem::SpaceBeforeQuote => SPACE_BEFORE_QUOTE.into(),
        // Without these rows everybody with an umlaut would be left out.
        RowProblem::NotUtf8 => {
            "save the list as `CSV UTF-8`; other rows of it are UTF-8 already".into()
        }
        ref what => {
            let rejected = rejected_path(Path::new(&first.file));
            let rejected = rejected.display();
            let fix = match what {
                RowProblem::GroupTooLarge => GROUP_TOO_LARGE,
                _ => "fix the rows",
            };
            format!(
                "{fix}, or add `--skip-invalid` to enqueue the rest and write invalid rows to `{rejected}`"
            )
        }
    }
}

fn header_hint(problem: &HeaderProblem) -> &'static str {
    match problem {
        HeaderProblem::Duplicate { .. } => "give each column a unique name in the header row",
        HeaderProblem::Title { .. } => "delete the lines above the header row",
        HeaderProblem::Missing { .. } => {
            "put a header row above the addresses, for example `email,name`"
        }
        HeaderProblem::Control { .. } => "write each column's name on one line, without tabs",
        HeaderProblem::NotUtf8 { .. } => "save the list as `CSV UTF-8`",
        HeaderProblem::Broken(RowProblem::SpaceBeforeQuote) => SPACE_BEFORE_QUOTE,
        HeaderProblem::Broken(_) => "fix the quotes in the header row",
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Failure {
        Failure::usage(error.to_string()).with_hint(template_hint(&error))
    }
}

fn template_hint(error: &TemplateError) -> String {
    match error {
        TemplateError::Unreadable { .. } => "save the template as a file of UTF-8 text".into(),
        TemplateError::Outside { .. } => "move it into the project's `templates/`".into(),
        TemplateError::Missing {
            directory, name, ..
        } => missing_hint(name, directory),
        TemplateError::Syntax { .. } => {
            "a template is written like `{{ name }}` or `{% if city %}…{% endif %}`".into()
        }
        TemplateError::TextUsed {
            column, kind, used, ..
        } => text_used_hint(column, kind, used),
        TemplateError::NoTypedColumn { name, columns, .. } => {
            match nearest(name, columns.iter().map(String::as_str)) {
                Some(column) => format!("write `{column}`, as the header row does"),
                None => "remove it from `[columns]`".into(),
            }
        }
        TemplateError::Slip { place, what } => slip_hint(place, what),
        TemplateError::UnknownName(unknown) => {
            let is_test = unknown.what == "test";
            let instead = is_test.then(|| word_of_another_language(&unknown.name));
            match (instead.flatten(), unknown.nearest) {
                (Some(instead), _) => instead.into(),
                (None, Some(name)) => format!("did you mean `{name}`?"),
                (None, None) => format!("the {}s are {}", unknown.what, unknown.known.join(", ")),
            }
        }
        TemplateError::Excess { .. } => {
            "keep parts of it in variables with `{% set %}`, or put the value into a column of the list".into()
        }
        TemplateError::RowsColumn { .. } | TemplateError::HiddenName { .. } => {
            "rename the column".into()
        }
        TemplateError::UnknownColumn(unknown) => unknown_column_hint(unknown),
        TemplateError::NoAttribute {
            column, attribute, ..
        } if matches!(attribute.as_str(), "length" | "size" | "count") => {
            format!("write `{{{{ {column} | length }}}}`")
        }
        TemplateError::NoAttribute { column, .. } => {
            format!("columns are plain text: write `{{{{ {column} }}}}`")
        }
    }
}

fn slip_hint(place: &Place, what: &SlipKind) -> String {
    match what {
        SlipKind::Character(_, instead)
        | SlipKind::Invisible(_, instead)
        | SlipKind::Entity(_, instead) => format!("write {instead}"),
        SlipKind::Name(name) => {
            format!("if it is a column, write `{{{{ {} }}}}`", place.cell(name))
        }
        SlipKind::OtherLanguage { instead, .. } => format!("write {instead}"),
    }
}

fn unknown_column_hint(unknown: &UnknownColumn) -> String {
    let name = &unknown.name;
    if name == "rows" {
        return "set `group = true` in the campaign file: one mail has all rows of an address, in `rows`"
            .into();
    }
    if let Some(instead) = word_of_another_language(name) {
        return instead.into();
    }
    let place = &unknown.place;
    let default = place.quoted("…");
    let default = format!("`{{{{ {} | default({default}) }}}}`", place.cell(name));
    // `{{ E-Mail }}` means the variable `E` minus the variable `Mail`.
    let begun = |column: &&String| column.starts_with(name) && !is_identifier(column);
    let begun = unknown.columns.iter().find(begun);
    match unknown.nearest.as_ref().or(begun) {
        Some(column) if !is_identifier(column) => format!(
            "write `{{{{ {} }}}}`, or give a default: {default}",
            place.cell(column)
        ),
        Some(nearest) => format!("rename it to `{nearest}`, or give a default: {default}"),
        None => format!("add the column, or give a default: {default}"),
    }
}

fn missing_hint(name: &str, directory: &str) -> String {
    if name.contains([' ', '\n', '{']) {
        return format!("write the text into a file in `{directory}`, and name the file");
    }
    match name.strip_prefix("templates/") {
        Some(rest) => format!("write `{rest}`; templates are read from `{directory}` only"),
        None => format!("check the name; templates are read from `{directory}` only"),
    }
}

fn text_used_hint(column: &str, kind: &str, used: &TextUse) -> String {
    let cell = cell_name(column);
    match (kind, used) {
        ("text", TextUse::Compared(_, "`true` or `false`")) => format!(
            "give it a type in the campaign file, {}, or compare texts: `{cell} == \"true\"`",
            declared(column, "boolean")
        ),
        ("text", TextUse::Compared(_, "a date")) => format!(
            "give it a type in the campaign file, {}, or write `parse_date({cell})`",
            declared(column, "date")
        ),
        ("text", _) => format!(
            "give it a type in the campaign file, {} or `\"decimal\"`, or write `({cell} | int)` or `({cell} | float)`",
            declared(column, "integer")
        ),
        ("date", _) => format!(
            "compare it with a date: `{cell} < parse_date(\"2026-12-31\")`, or with `now()`"
        ),
        ("boolean", _) => format!("write `{{% if {cell} %}}` or `{{% if not {cell} %}}`"),
        _ => format!("compare `{cell}` with a number, without quotes"),
    }
}

/// Whether a template can use the name of this column as a variable.
fn is_identifier(column: &str) -> bool {
    let mut chars = column.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Failure {
        let what = error.to_string();
        let hint = match error {
            ContentError::Template(error) => return error.into(),
            ContentError::Mailbox { key, .. } => {
                format!("write it like `{key} = \"Acme <news@acme.example>\"`")
            }
            ContentError::NoReturnPath { .. } => {
                "say where bounces go: `return_path = \"bounces@acme.example\"`".into()
            }
            ContentError::NoBody { .. } => "name a template: `text = \"welcome.txt\"`".into(),
            ContentError::Header { what, .. } => match what {
                HeaderNameProblem::Syntax => "write it like `\"X-Campaign\" = \"spring\"`".into(),
                HeaderNameProblem::Reserved => "leave it out of `[headers]`".into(),
                HeaderNameProblem::Duplicate => "keep one of them".into(),
            },
        };
        Failure::usage(what).with_hint(hint)
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Failure {
        Failure::usage(error.to_string())
            .with_hint("fix the template, or the recipient's row in the list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_show_what_to_write() {
        let place = Place {
            file: "templates/a.txt".into(),
            line: 1,
            column: 7,
        };
        let unknown = |name: &str, nearest: Option<&str>| {
            TemplateError::UnknownColumn(Box::new(UnknownColumn {
                place: place.clone(),
                name: name.into(),
                recipients: "a.csv".into(),
                columns: vec!["email".into(), "name".into(), "E-Mail".into()],
                nearest: nearest.map(str::to_string),
            }))
        };
        let failure = Failure::from(unknown("first_name", Some("name")));
        assert_eq!(
            failure.hint.as_deref(),
            Some("rename it to `name`, or give a default: `{{ first_name | default(\"…\") }}`")
        );
        for (name, nearest) in [("email_", Some("E-Mail")), ("E", None)] {
            let failure = Failure::from(unknown(name, nearest));
            let hint = failure.hint.unwrap_or_default();
            assert!(
                hint.starts_with("write `{{ row[\"E-Mail\"] }}`, or"),
                "{hint}"
            );
        }
        let failure = Failure::from(ContentError::Template(unknown("first_name", None)));
        assert_eq!(
            failure.hint.as_deref(),
            Some("add the column, or give a default: `{{ first_name | default(\"…\") }}`")
        );
        assert!(
            failure
                .what
                .starts_with("templates/a.txt:1:7: `first_name`")
        );
    }
}
