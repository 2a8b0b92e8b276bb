//! Workbooks as lists: both passes over small `.xlsx` and `.ods` files.

use super::*;
use mailq_testkit::acceptance::workbook::archive;
use std::path::PathBuf;

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive(&mut bytes, files).unwrap();
    bytes
}

fn xlsx(rows: &str) -> Vec<u8> {
    let book = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Notes" sheetId="1" state="hidden" r:id="rId1"/><sheet name="List" sheetId="2" r:id="rId2"/></sheets></workbook>"#;
    let relations = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#;
    let root = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    let styles = r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;
    let sheet = |rows: &str| {
        format!(
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
        )
    };
    zipped(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", root),
        ("xl/workbook.xml", book),
        ("xl/_rels/workbook.xml.rels", relations),
        ("xl/styles.xml", styles),
        ("xl/worksheets/sheet1.xml", &sheet("")),
        ("xl/worksheets/sheet2.xml", &sheet(rows)),
    ])
}

const XLSX_ROWS: &str = r#"<row r="2"><c r="A2" t="inlineStr"><is><t>email</t></is></c><c r="B2" t="inlineStr"><is><t>since</t></is></c><c r="C2" t="inlineStr"><is><t>points</t></is></c></row><row r="3"><c r="A3" t="inlineStr"><is><t>anna@x.io</t></is></c><c r="B3" s="1"><v>46357</v></c><c r="C3"><v>12</v></c></row><row r="5"><c r="A5" t="inlineStr"><is><t>b@@x.io</t></is></c><c r="C5"><v>0.30000000000000004</v></c></row><row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t> </t></is></c></row>"#;

fn ods() -> Vec<u8> {
    ods_of(ODS_ROWS)
}

const ODS_ROWS: &str = r#"<table:table-row><table:table-cell office:value-type="string"><text:p>email</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>since</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell office:value-type="string"><text:p>anna@x.io</text:p></table:table-cell><table:table-cell office:value-type="date" office:date-value="2026-12-01"><text:p>01.12.26</text:p></table:table-cell></table:table-row>"#;

fn ods_of(rows: &str) -> Vec<u8> {
    let before = r#"<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="List">"#;
    let after = "</table:table></office:spreadsheet></office:body></office:document-content>";
    let content = [before, rows, after].concat();
    zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", &content),
        ("META-INF/manifest.xml", "<manifest/>"),
    ])
}

struct Book {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn book(bytes: &[u8]) -> Book {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.csv");
    std::fs::write(&path, bytes).unwrap();
    Book {
        _folder: folder,
        path,
    }
}

impl Book {
    fn error(&self, options: &Options) -> RecipientsError {
        first_pass(&self.path, options, |_, _| {}).unwrap_err()
    }

    fn fields(&self, options: &Options) -> Vec<(u64, Vec<String>)> {
        let survey = first_pass(&self.path, options, |_, _| {}).unwrap();
        let rows = rows(&self.path, options, &survey, 0..u64::MAX).unwrap();
        let fields = rows.map(|row| row.map(|row| (row.line, row.fields)));
        fields.collect::<Result<_, _>>().unwrap()
    }
}

#[test]
fn reads_the_first_visible_sheet_as_a_person_sees_it() {
    let skipping = Options {
        skip_invalid: true,
        ..Options::default()
    };
    let wanted = ["anna@x.io", "2026-12-01", "12"].map(str::to_string);
    let found = book(&xlsx(XLSX_ROWS)).fields(&skipping);
    assert_eq!(found, [(3, wanted.to_vec())]);
    let found = book(&ods()).fields(&skipping);
    assert_eq!(found, [(2, wanted[..2].to_vec())]);
}

#[test]
fn names_what_is_wrong_with_a_workbook() {
    let options = Options::default();
    let error = book(&xlsx(XLSX_ROWS)).error(&options).to_string();
    assert!(
        error.ends_with("list.csv:5: column `email` is `b@@x.io`: two `@`"),
        "{error}"
    );
    let of_sheet = |name: &str| Options {
        sheet: Some(name.to_string()),
        ..Options::default()
    };
    let error = book(&xlsx("")).error(&of_sheet("list"));
    assert!(
        matches!(&error, RecipientsError::NoSheet { sheets, .. } if sheets == &["Notes", "List"])
    );
    let error = book(&xlsx("")).error(&options);
    assert!(matches!(&error, RecipientsError::EmptySheet { sheet, .. } if sheet == "List"));
    let cut = zipped(&[("xl/workbook.xml", "<workbook")]);
    assert!(matches!(
        book(&cut).error(&options),
        RecipientsError::Workbook { .. }
    ));
    for bytes in [&b"%PDF-1.7\nemail"[..], &zipped(&[("a.csv", "email")])] {
        assert!(matches!(
            book(bytes).error(&options),
            RecipientsError::Foreign { .. }
        ));
    }
}

#[test]
fn all_rows_of_a_mailbox_are_found_again_in_a_workbook() {
    let cell = |text: &str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let row = |address: &str, name: &str| format!("<row>{}{}</row>", cell(address), cell(name));
    let rows = [
        row("email", "name"),
        row("a@x.io", "Mia"),
        row("", ""),
        row("b@x.io", "Lea"),
        row("A@x.io", "Tom"),
    ];
    let mut case = super::tests::Case::new(xlsx(&rows.concat()));
    case.options.group = true;
    let rows = case.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].others, [["A@x.io", "Tom"]]);
    assert!(rows[1].others.is_empty());
}

/// Rows of `email`, `name` and a column without a name: each cell with its XML.
fn xlsx_with(rows: &[[&str; 3]]) -> Vec<u8> {
    let header =
        "<c t=\"inlineStr\"><is><t>email</t></is></c><c t=\"inlineStr\"><is><t>name</t></is></c>";
    let rows = rows
        .iter()
        .map(|cells| format!("<row>{}</row>", cells.concat()));
    xlsx(&format!("<row>{header}</row>{}", rows.collect::<String>()))
}

#[test]
fn a_link_is_the_text_that_a_person_sees() {
    let stored = r#"<c t="str"><f>HYPERLINK("mailto:a@x.io","a@x.io")</f><v>a@x.io</v></c>"#;
    let not_stored = r#"<c><f>HYPERLINK("mailto:b@x.io","b@x.io")</f><v></v></c>"#;
    let as_zero = r#"<c><f>HYPERLINK("mailto:c@x.io")</f><v>0</v></c>"#;
    let empty = r#"<c t="str"><f>IF(TRUE,"","x")</f><v></v></c>"#;
    let name = r#"<c t="inlineStr"><is><t>Lea</t></is></c>"#;
    let aside = "<c><f>A2&amp;B2</f></c>";
    let rows = [
        [stored, empty, aside],
        [not_stored, name, ""],
        [as_zero, name, ""],
    ];
    let found = book(&xlsx_with(&rows)).fields(&Options::default());
    let wanted = [
        (2, ["a@x.io", ""]),
        (3, ["b@x.io", "Lea"]),
        (4, ["c@x.io", "Lea"]),
    ];
    assert_eq!(
        found,
        wanted.map(|(line, cells)| (line, cells.map(str::to_string).to_vec()))
    );

    let row = |cell: &str| format!("<table:table-row>{cell}</table:table-row>");
    let header = row(
        "<table:table-cell office:value-type=\"string\"><text:p>email</text:p></table:table-cell>",
    );
    let formula = "table:formula=\"of:=HYPERLINK(&quot;mailto:b@x.io&quot;;&quot;b@x.io&quot;)\"";
    let rows = [
        "<table:table-cell office:value-type=\"string\"><text:p><text:a>a@x.io</text:a></text:p></table:table-cell>",
        &format!("<table:table-cell {formula}/>"),
    ];
    let found = book(&ods_of(&format!("{header}{}", rows.map(row).concat())));
    let found = found.fields(&Options::default());
    assert_eq!(
        found,
        [
            (2, vec!["a@x.io".to_string()]),
            (3, vec!["b@x.io".to_string()])
        ]
    );
}

#[test]
fn a_formula_without_a_result_is_named_with_its_sheet_and_cell() {
    let address = r#"<c t="inlineStr"><is><t>a@x.io</t></is></c>"#;
    let sum = "<c><f>C2&amp;\"@x.io\"</f></c>";
    for (rows, place) in [
        (
            &[[address, "", ""], [sum, sum, sum]],
            "cell `A3` of sheet `List` is a formula without a result (and 1 more)",
        ),
        (
            &[[address, "<c/>", sum], [address, sum, "<c/>"]],
            "cell `B3` of sheet `List` is a formula without a result",
        ),
    ] {
        let error = book(&xlsx_with(rows))
            .error(&Options::default())
            .to_string();
        assert!(error.ends_with(place), "{error}");
    }
    let cell =
        |inside: &str| format!("<table:table-row><table:table-cell {inside}</table:table-row>");
    let rows = [
        cell("office:value-type=\"string\"><text:p>email</text:p></table:table-cell>"),
        cell("table:formula=\"of:=[.C2]\"/>"),
    ];
    let error = book(&ods_of(&rows.concat()))
        .error(&Options::default())
        .to_string();
    assert!(error.contains("cell `A2` of sheet `List`"), "{error}");
}
