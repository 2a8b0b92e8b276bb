//! Both passes over whole files: which rows are accepted, and the error messages for the others.

use super::*;
use std::path::{Path, PathBuf};

pub struct Case {
    pub directory: tempfile::TempDir,
    pub options: Options,
}

impl Case {
    pub fn new(bytes: impl AsRef<[u8]>) -> Case {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("list.csv"), bytes).unwrap();
        Case {
            directory,
            options: Options::default(),
        }
    }

    pub fn skipping(mut self) -> Case {
        self.options.skip_invalid = true;
        self
    }

    pub fn header_columns(mut self, columns: &[&str]) -> Case {
        self.options.header_columns = columns.iter().map(|c| c.to_string()).collect();
        self
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("list.csv")
    }

    pub fn survey(&self) -> Survey {
        first_pass(&self.path(), &self.options, |_, _| {}).unwrap()
    }

    /// The error without the temporary directory.
    pub fn error(&self) -> String {
        let error = first_pass(&self.path(), &self.options, |_, _| {}).unwrap_err();
        let place = format!("{}/", self.directory.path().display());
        error.to_string().replace(&place, "")
    }

    pub fn rows(&self) -> Vec<RecipientRow> {
        let survey = self.survey();
        rows(&self.path(), &self.options, &survey, 0..u64::MAX)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    pub fn addresses(&self) -> Vec<String> {
        let rows = self.rows();
        rows.iter().map(|row| row.address.to_string()).collect()
    }
}

fn counts(rows: u64, accepted: u64, duplicates: u64, invalid: u64) -> Counts {
    Counts {
        rows,
        accepted,
        duplicates,
        differing: 0,
        invalid,
        already_sent: 0,
        tidied: Tidied::default(),
    }
}

#[test]
fn reads_the_same_rows_in_every_encoding_and_delimiter() {
    let text = "email,name\r\nanna@example.org,Zoë\r\nbo@例子.中国,\"𝄞, \"\"x\"\"\"\r\n";
    let bom = [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat();
    let little: Vec<u8> = std::iter::once(0xFEFF)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let big: Vec<u8> = std::iter::once(0xFEFF)
        .chain(text.encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect();
    let wanted = Case::new(text).rows();
    assert_eq!(wanted[1].fields, ["bo@xn--fsqu00a.xn--fiqs8s", "𝄞, \"x\""]);
    assert_eq!(wanted[1].address.as_str(), "bo@xn--fsqu00a.xn--fiqs8s");
    let unmarked = little[2..].to_vec();
    let unmarked_big = big[2..].to_vec();
    for bytes in [bom, little, big, unmarked, unmarked_big] {
        assert_eq!(Case::new(bytes).rows(), wanted);
    }
    let semicolons = "email;name\nanna@example.org;Zoë\nbo@例子.中国;\"𝄞, \"\"x\"\"\"";
    assert_eq!(Case::new(semicolons).rows(), wanted);
    let tabs = "email\tname\nanna@example.org\tZoë\n\n\nbo@例子.中国\t\"𝄞, \"\"x\"\"\"";
    assert_eq!(Case::new(tabs).addresses(), Case::new(text).addresses());
}

#[test]
fn line_numbers_are_those_of_the_file() {
    let case = Case::new("\nemail,note\n\na@x.io,\"1\n2\r\n3\"\r\n\r\nb@x.io,-\rc@x.io,-");
    let lines: Vec<u64> = case.rows().iter().map(|row| row.line).collect();
    assert_eq!(lines, [4, 8, 9]);
}

#[test]
fn counts_duplicates_and_accepts_the_first() {
    let case = Case::new("email,n\na@x.io,1\nA@x.io,2\na@X.IO,3\n a@x.io ,4\nb@x.io,5\n");
    let found = case.survey().counts;
    assert_eq!((found.accepted, found.duplicates), (2, 3));
    assert_eq!(found.tidied.cleaned_addresses, 1);
    let fields: Vec<String> = case.rows().iter().map(|r| r.fields[1].clone()).collect();
    assert_eq!(fields, ["1", "5"]);
}

#[test]
fn known_mailboxes_are_left_out_before_rows_are_numbered_and_the_limit_counts() {
    let mut case = Case::new("email\nA@x.io\nb@x.io\na@x.io\nc@x.io\nd@x.io\n");
    let everybody = case.survey().rows_fingerprint();
    let mut known = AddressSet::new();
    known.insert("a@x.io");
    case.options.known = Known(Some(Arc::new(known)));
    case.options.limit = Some(2);
    let survey = case.survey();
    let Counts {
        rows,
        accepted,
        duplicates,
        already_sent,
        ..
    } = survey.counts;
    assert_eq!((rows, accepted, duplicates, already_sent), (4, 2, 1, 1));
    assert_eq!(case.addresses(), ["b@x.io", "c@x.io"]);
    assert_eq!(survey.ordinal(3), Some(1));
    assert_ne!(survey.rows_fingerprint(), everybody);
}

#[test]
fn refuses_a_file_without_a_usable_header() {
    for (text, wanted) in [
        ("", "list.csv is empty"),
        ("\u{feff}\n\n", "list.csv is empty"),
        ("\nemail,x, x \n", "list.csv:2: two columns are called `x`"),
        (
            "a@x.io,Anna\n",
            "list.csv:1: no header row: `a@x.io` is an address, not a column name",
        ),
        (
            "email,\"a\nb\"\n",
            "list.csv:1: the name of column 2 contains a line break",
        ),
        (
            "email,\"b\n",
            "list.csv:1: the header row cannot be read: a quoted cell is never closed",
        ),
        (
            "e-mail,name\nx\n",
            "list.csv:1: no column `email` (columns: e-mail, name)",
        ),
    ] {
        assert_eq!(Case::new(text).error(), wanted);
    }
    let error = first_pass(
        Path::new("/nowhere/list.csv"),
        &Options::default(),
        |_, _| {},
    );
    assert!(matches!(error, Err(RecipientsError::Unreadable { .. })));
    let error = Case::new("e-mail,name\n");
    let error = first_pass(&error.path(), &error.options, |_, _| {}).unwrap_err();
    assert!(
        matches!(error, RecipientsError::NoEmailColumn { nearest: Some(name), .. } if name == "e-mail")
    );
}

#[test]
fn refuses_bad_rows_with_line_column_and_value() {
    for (row, wanted) in [
        (
            "anna@@example.org,x",
            "list.csv:2: column `email` is `anna@@example.org`: two `@`",
        ),
        (
            "a@x.io",
            "list.csv:2: this row has 1 cell, the header has 2 columns",
        ),
        (
            "a@x.io,b,c",
            "list.csv:2: this row has 3 cells, the header has 2 columns",
        ),
        ("a@x.io,\"b", "list.csv:2: a quoted cell is never closed"),
        (
            "a@x.io,\"b\"c",
            "list.csv:2: text after the closing quote of a cell",
        ),
        (
            "a@x.io,5\" pipe",
            "list.csv:2: a quote inside an unquoted cell",
        ),
        ("Email,NAME", "list.csv:2: this is the header row again"),
        (
            "\u{feff}email,name",
            "list.csv:2: this is the header row again",
        ),
        (
            "\u{1a}",
            "list.csv:2: the control character U+001A is not allowed in a cell",
        ),
        (
            "a@x.io,b\0c",
            "list.csv:2: column `name` is `b\\u{0}c`: a NUL byte is not allowed in a cell",
        ),
        (
            "a@x.io,\x1b[31m",
            "list.csv:2: column `name` is `\\u{1b}[31m`: the control character U+001B is not allowed in a cell",
        ),
        (
            "\"a@x.io\r\nBcc: b@x.io\",y",
            "list.csv:2: column `email` is `a@x.io\\r\\nBcc: b@x.io`: a line break is not allowed in a cell that is used in a message header",
        ),
    ] {
        assert_eq!(Case::new(format!("email,name\n{row}")).error(), wanted);
    }
    let mixed = Case::new(b"email,name\na@x.io,Zo\xEB\nb@x.io,Zo\xC3\xAB\n");
    let wanted = "list.csv:2: column `name` is `Zo\u{FFFD}`: not valid UTF-8";
    assert_eq!(mixed.error(), wanted);
}

#[test]
fn a_list_in_another_encoding_is_named_as_a_whole_and_read_with_its_name() {
    let bytes = b"email,name\na@x.io,Anna\nb@x.io,J\xF6rg\nc@x.io,M\xFCller\n";
    let wanted = "list.csv:3: `Jörg` is not UTF-8; the list looks like windows-1252";
    assert_eq!(Case::new(bytes).error(), wanted);
    assert_eq!(Case::new(bytes).skipping().error(), wanted);
    let mut case = Case::new(bytes);
    case.options.encoding = FileEncoding::of_name("windows-1252");
    let rows = case.rows();
    assert_eq!(rows[1].fields, ["b@x.io", "Jörg"]);
    let header = Case::new(b"email,stra\xDFe\na@x.io,x\n").error();
    assert_eq!(
        header,
        "list.csv:1: `straße` is not UTF-8; the list looks like windows-1252"
    );
}

#[test]
fn counts_text_that_was_decoded_wrongly_before() {
    let case = Case::new("email,name\na@x.io,JÃ¶rg\nb@x.io,Zoë\nc@x.io,MÃ¼ller\n");
    let survey = case.survey();
    assert_eq!(survey.counts.tidied.garbled_rows, 2);
    let garbled = survey.garbled.unwrap().to_string();
    assert!(
        garbled.ends_with("list.csv:2: column `name` is `JÃ¶rg`, which is `Jörg` decoded wrongly")
    );
}

#[test]
fn reads_lists_as_spreadsheet_programs_write_them() {
    let wanted = Case::new("email,plz\na@x.io,00123\nb@x.io,00456\n").rows();
    for text in [
        "sep=;\nemail;plz\na@x.io;00123\nb@x.io;00456\n",
        "email|plz\na@x.io|00123\nb@x.io|00456\n",
        "email,plz,,\na@x.io,=\"00123\",,\nb@x.io,\"=\"\"00456\"\"\", ,\n",
        "email,plz\na@x.io,00123,\nb@x.io,00456,,\n",
        "email,,plz\na@x.io,,00123\nb@x.io,,00456\n",
    ] {
        let rows = Case::new(text).rows();
        let fields: Vec<_> = rows.iter().map(|row| &row.fields).collect();
        assert_eq!(
            fields,
            wanted.iter().map(|row| &row.fields).collect::<Vec<_>>(),
            "{text}"
        );
    }
}

#[test]
fn ignores_and_counts_empty_rows_and_columns() {
    let case = Case::new("email,name,,\n,,,\na@x.io,Anna,,\n , ,,\n\nb@x.io,Bert,,\n,,,\n");
    let counts = case.survey().counts;
    assert_eq!((counts.rows, counts.accepted), (2, 2));
    let tidied = Tidied {
        empty_rows: 3,
        ignored_columns: 2,
        ..Tidied::default()
    };
    assert_eq!(counts.tidied, tidied);
    let lines: Vec<u64> = case.rows().iter().map(|row| row.line).collect();
    assert_eq!(lines, [3, 6]);
}

#[test]
fn mails_each_address_of_a_cell_where_the_campaign_says_so() {
    let text = "email,n\n\"a@x.io; b@x.io\",1\nc@x.io,2\n\"b@x.io, d@x.io\",3\n";
    let error = Case::new(text).error();
    assert_eq!(
        error,
        "list.csv:2: column `email` is `a@x.io; b@x.io`: 2 addresses in one cell (and 1 more invalid row)"
    );
    let mut case = Case::new(text);
    case.options.several = SeveralPolicy::Each;
    assert_eq!(
        case.survey().counts,
        Counts {
            differing: 1,
            ..counts(5, 4, 1, 0)
        }
    );
    let found: Vec<(String, String, u64)> = case
        .rows()
        .into_iter()
        .map(|row| (row.address.to_string(), row.fields[0].clone(), row.line))
        .collect();
    let wanted = [("a@x.io", 2), ("b@x.io", 2), ("c@x.io", 3), ("d@x.io", 4)];
    let wanted = wanted.map(|(address, line)| (address.to_string(), address.to_string(), line));
    assert_eq!(found, wanted);
    let survey = case.survey();
    for start in 0..4 {
        let part = rows(&case.path(), &case.options, &survey, start..4).unwrap();
        let part: Vec<String> = part.map(|row| row.unwrap().address.to_string()).collect();
        assert_eq!(part.len() as u64, 4 - start);
    }
    case.options.limit = Some(1);
    assert_eq!(case.addresses(), ["a@x.io"]);
}

#[test]
fn content_in_cells_without_a_column_is_an_error() {
    for (row, wanted) in [
        (
            "email,name,\na@x.io,b,c",
            "list.csv:2: this row has 3 cells, the header has 2 columns",
        ),
        (
            "email,name,,\na@x.io",
            "list.csv:2: this row has 1 cell, the header has 2 columns",
        ),
        (
            "email,,name\na@x.io,1,b",
            "list.csv:2: column 2 has no name in the header row, but is `1` in this row",
        ),
    ] {
        assert_eq!(Case::new(row).error(), wanted);
    }
}

#[test]
fn names_a_title_above_the_header_row() {
    for text in [
        "Kunden 2026\nemail,name\na@x.io,b\n",
        "Kunden 2026;;\r\n\r\nName;E-Mail;\r\nb;a@x.io;\r\n",
        "Kunden 2026,Kunden 2026\nStand,Juni\nname,email\n",
    ] {
        let error = Case::new(text).error();
        assert!(
            error.starts_with("list.csv:1: `Kunden 2026` is not the header row, which is line "),
            "{error}"
        );
    }
    let error = Case::new("E-Mail,contact\na@x.io,email\n").error();
    assert_eq!(
        error,
        "list.csv:1: no column `email` (columns: E-Mail, contact)"
    );
}

#[test]
fn allows_a_line_break_only_in_cells_that_reach_no_header() {
    let text = "email,name\na@x.io,\"b\nBcc: c@x.io\"\n";
    assert_eq!(Case::new(text).survey().counts, counts(1, 1, 0, 0));
    let error = Case::new(text).header_columns(&["name"]).error();
    assert!(
        error.ends_with("a line break is not allowed in a cell that is used in a message header")
    );
}

#[test]
fn counts_all_bad_rows_and_lists_ten() {
    let text = format!("email\n{}", "bad\n".repeat(25));
    let case = Case::new(text);
    let error = first_pass(&case.path(), &case.options, |_, _| {}).unwrap_err();
    let RecipientsError::BadRows { first, count } = error else {
        panic!("{error}");
    };
    assert_eq!((first.len(), count), (10, 25));
    assert_eq!(first.last().map(|error| error.line), Some(11));
}

#[test]
fn reads_rows_that_span_several_pieces() {
    let wide = "é".repeat(200_000);
    let text = format!("email,a,b\na@x.io,{wide},\"{wide}\n{wide}\"\nb@x.io,,\n");
    let rows = Case::new(text).rows();
    assert_eq!(rows[0].fields[1], wide);
    assert_eq!(rows[0].fields[2], format!("{wide}\n{wide}"));
    assert_eq!(rows[1].line, 4);
}

#[test]
fn returns_the_rows_of_a_range_and_of_a_limit() {
    let text: String = (0..100).map(|n| format!("user{}@x.io\n", n / 2)).collect();
    let mut case = Case::new(format!("email\n{text}"));
    let survey = case.survey();
    assert_eq!(survey.counts, counts(100, 50, 50, 0));
    let part = rows(&case.path(), &case.options, &survey, 20..23).unwrap();
    let part: Vec<RecipientRow> = part.collect::<Result<_, _>>().unwrap();
    let found: Vec<(u64, u64, &str)> = part
        .iter()
        .map(|row| (row.row, row.line, row.address.local()))
        .collect();
    assert_eq!(
        found,
        [(20, 42, "user20"), (21, 44, "user21"), (22, 46, "user22")]
    );
    case.options.limit = Some(3);
    assert_eq!(case.survey().counts, counts(5, 3, 2, 0));
    assert_eq!(case.survey().fingerprint, survey.fingerprint);
    assert_eq!(case.addresses(), ["user0@x.io", "user1@x.io", "user2@x.io"]);
}

#[test]
fn notices_a_file_that_changed_between_the_passes() {
    let case = Case::new("email,n\na@x.io,1\nb@x.io,2\n");
    let survey = case.survey();
    std::fs::write(case.path(), "email,n\na@x.io,1\nb@x.io,2\nc@x.io,3\n").unwrap();
    let opened = rows(&case.path(), &case.options, &survey, 0..9);
    assert!(matches!(
        opened.err(),
        Some(RecipientsError::Changed { .. })
    ));

    // The same length and time, other bytes.
    let modified_at = survey.stamp.modified_at.unwrap();
    std::fs::write(case.path(), "email,n\na@x.io,1\nb@x.io,9\n").unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(case.path())
        .unwrap();
    file.set_modified(modified_at).unwrap();
    let all = rows(&case.path(), &case.options, &survey, 0..1).unwrap();
    let items: Vec<_> = all.collect();
    assert_eq!(items.len(), 2);
    assert!(matches!(items[1], Err(RecipientsError::Changed { .. })));
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_passes_agree_on_any_bytes(
            bytes in prop::collection::vec(prop::sample::select(b"a@x.io,\";\n\r\0\xFF \t".to_vec()), 0..60),
        ) {
            let case = Case::new([b"email,n\n".as_slice(), &bytes].concat()).skipping();
            let mut rejected = 0;
            let survey = match first_pass(&case.path(), &case.options, |_, _| rejected += 1) {
                Err(RecipientsError::Encoding { .. }) => return Ok(()),
                survey => survey.unwrap(),
            };
            prop_assert_eq!(rejected, survey.counts.invalid);
            let Counts { rows, accepted, duplicates, invalid, .. } = survey.counts;
            prop_assert_eq!(rows, accepted + duplicates + invalid);
            prop_assert_eq!(case.rows().len() as u64, accepted);
        }

        #[test]
        fn reads_back_any_rows(names in prop::collection::vec("[a-z,;\"\n\r\té]{0,8}", 1..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["email", "name"]).unwrap();
            for (number, name) in names.iter().enumerate() {
                writer.write_record([&format!("a{number}@x.io"), name]).unwrap();
            }
            let case = Case::new(writer.into_inner().unwrap());
            let found: Vec<String> = case.rows().into_iter().map(|row| row.fields[1].clone()).collect();
            prop_assert_eq!(found, names);
        }
    }
}

#[test]
fn rows_of_one_address_that_differ_are_counted_and_the_first_is_named() {
    let text = "email,name\na@x.io,A\nb@@x.io,B\nA@x.io, A \nc@x.io,C\nc@x.io,D\na@x.io,E\n";
    let mut case = Case::new(text).skipping();
    let survey = case.survey();
    assert_eq!((survey.counts.duplicates, survey.counts.differing), (3, 2));
    let named = survey.repeated.unwrap().to_string();
    let expected = "list.csv:6 has the address of line 5 but other cells, and is not mailed";
    assert!(named.ends_with(expected), "{named}");
    case.options.duplicates = DuplicatesPolicy::First;
    let survey = case.survey();
    assert_eq!((survey.counts.duplicates, survey.counts.differing), (3, 0));
    let named = survey.repeated.unwrap().to_string();
    assert!(
        named.ends_with("list.csv:4 repeats line 2, and is not mailed"),
        "{named}"
    );
}
