//! `group = true`: all rows of a mailbox with its first one, in every form that a list may have.

use super::tests::Case;
use super::*;
use crate::domain::recipient::{ListFault, RowFault, RowTest, RowTests};

/// Rows of 700 mailboxes in turn, with cells of several lines, longer than a piece that is read at once.
fn scattered(rows: usize, text: &str) -> String {
    let row = |number: usize| {
        let user = number % 700;
        format!("u{user}@x.io,{number},\"{text}\n{number}, \"\"x\"\"\"\r\n")
    };
    let rows: String = (0..rows).map(row).collect();
    format!("email,number,note\r\n{rows}")
}

fn grouped(bytes: impl AsRef<[u8]>) -> Case {
    let mut case = Case::new(bytes);
    case.options.group = true;
    case
}

fn of_numbers(rows: &[RecipientRow]) -> Vec<Vec<String>> {
    let numbers = |row: &RecipientRow| {
        let all = std::iter::once(&row.fields).chain(&row.others);
        all.map(|cells| cells[1].clone()).collect()
    };
    rows.iter().map(numbers).collect()
}

#[test]
fn the_first_row_has_all_others_in_every_encoding() {
    let text = scattered(7000, "Zoë 𝄞 京");
    let wanted = grouped(&text).rows();
    assert_eq!(wanted.len(), 700);
    assert_eq!(of_numbers(&wanted)[3][..3], ["3", "703", "1403"]);
    assert_eq!(wanted[3].others[0][2], "Zoë 𝄞 京\n703, \"x\"");
    assert_eq!(wanted[3].others.len(), 9);

    let units = || std::iter::once(0xFEFF).chain(text.encode_utf16());
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    let bom = [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat();
    for bytes in [bom, little.clone(), big, little[2..].to_vec()] {
        assert_eq!(grouped(bytes).rows(), wanted);
    }
    for (name, bytes) in [("utf-16le", &little[2..]), ("utf-8", text.as_bytes())] {
        let mut case = grouped(bytes);
        case.options.encoding = FileEncoding::of_name(name);
        assert_eq!(case.rows(), wanted, "{name}");
    }

    let text = scattered(7000, "Zoë");
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let mut case = grouped(&latin);
    case.options.encoding = FileEncoding::of_name("windows-1252");
    assert_eq!(case.rows(), grouped(&text).rows());
    case.options.encoding = FileEncoding::of_name("gb18030");
    assert_eq!(
        case.error(),
        "list.csv is in `gb18030`, in which rows cannot be found again, so `group = true` cannot put them together"
    );
}

#[test]
fn broken_rows_between_do_not_move_the_others() {
    let text = "email,number\na@x.io,1\nb@@x.io,2\n\"x\"y,2\n\n,\na@x.io,3\nb@x.io,4\n\nA@x.io,5\n";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for case in [grouped(text).skipping(), grouped(utf16).skipping()] {
        let rows = case.rows();
        assert_eq!(of_numbers(&rows), [vec!["1", "3", "5"], vec!["4"]]);
        // Each row keeps its own spelling of the address.
        assert_eq!(rows[0].others[1][0], "A@x.io");
        let counts = case.survey().counts;
        let found = (
            counts.rows,
            counts.accepted,
            counts.duplicates,
            counts.invalid,
        );
        assert_eq!(found, (6, 2, 2, 2));
    }
}

#[test]
fn a_part_of_the_recipients_has_its_rows_too() {
    let case = grouped(scattered(2100, "x"));
    let survey = case.survey();
    let part = rows(&case.path(), &case.options, &survey, 698..700).unwrap();
    let part: Vec<RecipientRow> = part.collect::<Result<_, _>>().unwrap();
    let numbers = of_numbers(&part);
    assert_eq!(numbers, [["698", "1398", "2098"], ["699", "1399", "2099"]]);
}

#[test]
fn the_limit_counts_mails_and_leaves_no_row_of_them_out() {
    let text =
        "email,number\na@x.io,1\nb@x.io,2\nc@x.io,3\nbroken,4\na@x.io,5\nd@x.io,6\nb@x.io,7\n";
    let mut case = grouped(text);
    case.options.limit = Some(2);
    assert_eq!(of_numbers(&case.rows()), [["1", "5"], ["2", "7"]]);
    let counts = case.survey().counts;
    assert_eq!((counts.rows, counts.accepted, counts.duplicates), (4, 2, 2));
    assert_eq!(counts.invalid, 0);
}

#[test]
fn a_cell_of_several_addresses_is_a_row_of_each_of_them_once() {
    let text = "email,number\n\"a@x.io, b@x.io, A@x.io\",1\n\"b@x.io, b@x.io\",2\na@x.io,3\n";
    let mut case = grouped(text);
    case.options.several = SeveralPolicy::Each;
    let rows = case.rows();
    assert_eq!(of_numbers(&rows), [["1", "3"], ["1", "2"]]);
    assert_eq!(rows[1].others[0][0], "b@x.io");
}

/// Changes the list, and keeps the time at which it was changed last.
fn write_unnoticed(case: &Case, survey: &Survey, text: &str) {
    std::fs::write(case.path(), text).unwrap();
    let file = std::fs::File::options().write(true).open(case.path());
    let modified = survey.stamp.modified_at.unwrap();
    file.unwrap().set_modified(modified).unwrap();
}

#[test]
fn rows_that_moved_meanwhile_are_an_error() {
    let case = grouped("email,number\na@x.io,1\nb@x.io,2\na@x.io,3\n");
    let survey = case.survey();
    // The same length, and another row where the third one was.
    write_unnoticed(
        &case,
        &survey,
        "email,number\na@x.io,1\na@x.io,3\nb@x.io,2\n",
    );
    let found: Result<Vec<RecipientRow>, _> = rows(&case.path(), &case.options, &survey, 0..9)
        .unwrap()
        .collect();
    assert!(
        matches!(found, Err(RecipientsError::Changed { .. })),
        "{found:?}"
    );
}

#[test]
fn rows_that_became_too_large_meanwhile_are_an_error() {
    let cell = "x".repeat(1_000_000);
    let pairs: String = (0..9)
        .map(|number| format!("a@x.io,{number},y\nb{number}@x.io,{number},{cell}\n"))
        .collect();
    let case = grouped(format!("email,number,note\n{pairs}"));
    let survey = case.survey();
    // The same length, and each row of `a@x.io` has the next one in its last cell.
    let text = std::fs::read_to_string(case.path()).unwrap();
    let text = (0..9).fold(text, |text, number| {
        let joined = format!(",y b{number}@x.io {number} x");
        text.replacen(&format!(",y\nb{number}@x.io,{number},x"), &joined, 1)
    });
    write_unnoticed(&case, &survey, &text);
    let mut found = rows(&case.path(), &case.options, &survey, 0..9).unwrap();
    let first = found.next();
    assert!(
        matches!(first, Some(Err(RecipientsError::Changed { .. }))),
        "{first:?}"
    );
    assert!(found.next().is_none());
}

#[test]
fn a_mailbox_with_more_rows_than_fit_into_one_mail_is_refused_and_the_rest_goes() {
    let cell = "x".repeat(1 << 20);
    let large = |number| format!("a@x.io,{number},{cell}\n");
    let rows: String = (0..9).map(large).collect();
    let text = format!("email,number,note\nb@x.io,1,\n{rows}b@x.io,2,\nc@x.io,3,{cell}\n");
    let mut case = grouped(text);
    assert_eq!(
        case.error(),
        "list.csv:3: column `email` is `a@x.io`: the rows with this address have more than 8388608 bytes"
    );
    case.options.skip_invalid = true;
    let mut lines = Vec::new();
    let survey = first_pass(&case.path(), &case.options, |row, _| {
        let raw = String::from_utf8(row.raw.clone()).unwrap();
        lines.push((row.error.line, raw.chars().take(8).collect::<String>()));
    });
    let wanted: Vec<_> = (0..9)
        .map(|number| (3, format!("a@x.io,{number}")))
        .collect();
    assert_eq!(lines, wanted);
    let survey = survey.unwrap();
    assert_eq!((survey.counts.invalid, survey.counts.accepted), (9, 2));
    let rows = rows_of(&case, &survey).unwrap();
    assert_eq!(of_numbers(&rows), [vec!["1", "2"], vec!["3"]]);
}

fn rows_of(case: &Case, survey: &Survey) -> Result<Vec<RecipientRow>, RecipientsError> {
    rows(&case.path(), &case.options, survey, 0..u64::MAX)?.collect()
}

/// Refuses messages whose rows have the number 3.
struct NoThree;

impl RowTests for NoThree {
    fn begin(&self) -> Box<dyn RowTest + '_> {
        Box::new(NoThree)
    }
}

impl RowTest for NoThree {
    fn cells(&self, _: &RecipientRow) -> Result<(), RowFault> {
        Ok(())
    }

    fn needs_messages(&self) -> bool {
        true
    }

    fn message(&self, row: &RecipientRow) -> Result<(), RowFault> {
        let numbers = of_numbers(std::slice::from_ref(row));
        match numbers.concat().contains(&"3".to_string()) {
            false => Ok(()),
            true => Err(RowFault {
                column: None,
                what: "three".into(),
            }),
        }
    }

    fn observe(&mut self, _: &RecipientRow) {}

    fn finish(self: Box<Self>) -> Result<(), ListFault> {
        Ok(())
    }
}

#[test]
fn all_rows_of_a_mailbox_without_a_message_are_rejected() {
    let text = "email,number\na@x.io,1\nb@x.io,2\nc@x.io,4\nb@x.io,3\na@x.io,5\n\"c@x.io\",6\n";
    let mut case = grouped(text);
    case.options.tests = Tests(Some(std::sync::Arc::new(NoThree)));
    assert_eq!(case.error(), "list.csv:3: three");

    case.options.skip_invalid = true;
    let mut rejected = Vec::new();
    let survey = first_pass(&case.path(), &case.options, |row, _| {
        rejected.push(String::from_utf8(row.raw.clone()).unwrap());
    });
    assert_eq!(rejected, ["b@x.io,2", "b@x.io,3"]);
    let survey = survey.unwrap();
    let counts = survey.counts;
    let found = (
        counts.rows,
        counts.accepted,
        counts.duplicates,
        counts.invalid,
    );
    assert_eq!((found, survey.unfit), ((6, 2, 2, 2), 2));
    let rows = rows_of(&case, &survey).unwrap();
    assert_eq!(of_numbers(&rows), [["1", "5"], ["4", "6"]]);
    assert_eq!([rows[0].row, rows[1].row], [0, 1]);
}
