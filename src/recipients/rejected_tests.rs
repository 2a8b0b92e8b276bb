//! Files of rejected rows: what they hold, and that they can be enqueued once they are fixed.

use super::tests::Case;
use super::*;

/// The file of rejected rows of a list, and the case that enqueues it.
fn rejected(case: &Case) -> (String, Case) {
    let mut writer = RejectedWriter::new(&case.path());
    first_pass(&case.path(), &case.options, |row, frame| {
        writer.write(row, frame).unwrap()
    })
    .unwrap();
    let path = writer.finish().unwrap().unwrap();
    assert_eq!(path.file_name().unwrap(), "list.rejected.csv");
    let left = std::fs::read_dir(case.directory.path()).unwrap().count();
    assert_eq!(left, 2, "no temporary file is left");
    let text = std::fs::read_to_string(path).unwrap();
    let mut next = Case::new(&text);
    next.options = case.options.clone();
    (text, next)
}

#[test]
fn rejected_rows_are_as_in_the_list_with_the_reason_behind_them() {
    let list = "email,name,n\r\na@x.io,ok,1\r\nb@@x.io,=urgent,-3.00\r\nc@x.io,\"C, \"\"c\"\"\",1,2\r\n\"d@x.io,\"open\r\n";
    let (text, _) = rejected(&Case::new(list).skipping());
    let wanted = "email,name,n,reason\r\n\
        b@@x.io,=urgent,-3.00,\"line 3: column `email` is `b@@x.io`: two `@`\"\r\n\
        c@x.io,\"C, \"\"c\"\"\",1,2,\"line 4: this row has 4 cells, the header has 3 columns\"\r\n\
        \"d@x.io,\"open,\"line 5: text after the closing quote of a cell\"\r\n";
    assert_eq!(text, wanted);
}

#[test]
fn a_mended_file_of_rejected_rows_is_read_like_the_list() {
    let utf16: Vec<u8> = "\u{feff}email\tname\r\nb@@x.io\tJörg\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (list, encoding) in [
        (b"email;name;;\nb@@x.io;J\xC3\xB6rg;;\n".to_vec(), None),
        (b"email;name;;\nb@@x.io;J\xC3\xB6rg\n".to_vec(), None),
        (b"email,name\nb@@x.io,J\xC3\xB6rg,,\n".to_vec(), None),
        (b"sep=^\nemail^name\nb@@x.io^J\xC3\xB6rg\n".to_vec(), None),
        (
            b"\xEF\xBB\xBFemail,name\nb@@x.io,J\xC3\xB6rg\n".to_vec(),
            None,
        ),
        (
            b"email,name\nb@@x.io,J\xF6rg\n".to_vec(),
            FileEncoding::of_name("windows-1252"),
        ),
        (utf16, None),
    ] {
        let mut case = Case::new(list).skipping();
        case.options.encoding = encoding;
        let (text, mut next) = rejected(&case);
        std::fs::write(next.path(), text.replace("@@", "@")).unwrap();
        next.options.skip_invalid = false;
        let rows = next.rows();
        assert_eq!(rows[0].fields[..2], ["b@x.io", "Jörg"], "{text}");
        let reason = rows[0].fields.last().unwrap();
        assert!(
            reason.ends_with(": column `email` is `b@x.io`: two `@`"),
            "{reason}"
        );
        let names = next.survey().columns;
        assert_eq!(names.last().unwrap(), "reason");
    }
    let twice = Case::new("email,reason\nb@@x.io,old\n").skipping();
    let (text, _) = rejected(&twice);
    assert!(text.starts_with("email,reason,reason 2\nb@@x.io,old,\"line 2: "));
}

#[test]
fn a_row_that_is_too_long_is_rejected_in_part() {
    let long = "x".repeat(MAX_CELL_BYTES + 10);
    let case = Case::new(format!("email,name\na@x.io,{long}\nb@x.io,good\n")).skipping();
    let (text, _) = rejected(&case);
    assert!(text.len() < 20_000 && text.contains("\"line 2: a cell is longer than"));
    assert_eq!(case.addresses(), ["b@x.io"]);
}

#[test]
fn a_quoted_cell_that_is_too_long_is_one_bad_row() {
    let long = "x@x.io,y\n".repeat(MAX_CELL_BYTES / 8);
    let list = format!("email,name\na@x.io,\"{long}\"\nb@x.io,good\n");
    let case = Case::new(list).skipping();
    assert_eq!(case.survey().counts.invalid, 1);
    assert_eq!(case.addresses(), ["b@x.io"]);
    let (text, next) = rejected(&case);
    assert!(text.len() < 20_000 && text.contains("\"line 2: a cell is longer than"));
    assert_eq!(next.survey().counts.rows, 1);
}
