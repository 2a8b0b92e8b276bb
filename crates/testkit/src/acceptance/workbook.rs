//! Writes a list as an `.xlsx` file, with its texts in one table as spreadsheet programs keep them. Not compressed. The
//! unit tests of workbooks make their archives here too.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// The first row is the header row. Cells are texts without characters that XML escapes.
pub fn write(path: &Path, rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let mut texts = Texts::default();
    let mut sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>");
    for row in rows {
        sheet.push_str("<row>");
        for cell in row {
            sheet.push_str(&format!("<c t=\"s\"><v>{}</v></c>", texts.number(cell)));
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    let parts = [
        ("[Content_Types].xml", "<Types/>".to_string()),
        (
            "_rels/.rels",
            relations(&["officeDocument"], &["xl/workbook.xml"]),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            relations(
                &["worksheet", "sharedStrings"],
                &["worksheets/sheet1.xml", "sharedStrings.xml"],
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets><sheet name=\"List\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        ("xl/sharedStrings.xml", texts.table()),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    archive(BufWriter::new(File::create(path)?), &parts)
}

fn relations(kinds: &[&str], targets: &[&str]) -> String {
    let each = kinds.iter().zip(targets).enumerate();
    let each = each.map(|(number, (kind, target))| {
        let id = number + 1;
        format!("<Relationship Id=\"rId{id}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>")
    });
    format!(
        "<Relationships xmlns=\"{PACKAGE}\">{}</Relationships>",
        each.collect::<String>()
    )
}

/// Each text once, by its number.
#[derive(Default)]
struct Texts {
    numbers: HashMap<String, usize>,
    items: String,
}

impl Texts {
    fn number(&mut self, text: String) -> usize {
        let next = self.numbers.len();
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        self.items.push_str(&format!("<si><t>{text}</t></si>"));
        self.numbers.insert(text, next);
        next
    }

    fn table(&self) -> String {
        format!("<sst xmlns=\"{MAIN}\">{}</sst>", self.items)
    }
}

/// A zip archive of parts that are not compressed.
pub fn archive<T: AsRef<str>>(mut to: impl Write, parts: &[(&str, T)]) -> Result<()> {
    let mut directory = Vec::new();
    let mut offset = 0u32;
    for (name, text) in parts {
        let text = text.as_ref();
        // Version 2.0, no flags, stored, no time.
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let size = (text.len() as u32).to_le_bytes();
        fields.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
        fields.extend([size, size].concat());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let head = [b"PK\x03\x04", fields.as_slice(), name.as_bytes()].concat();
        to.write_all(&head)?;
        to.write_all(text.as_bytes())?;
        directory.extend([b"PK\x01\x02\x14\0", fields.as_slice(), &[0; 10]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
        offset += (head.len() + text.len()) as u32;
    }
    let count = (parts.len() as u16).to_le_bytes();
    to.write_all(&directory)?;
    to.write_all(&[b"PK\x05\x06\0\0\0\0", [count, count].concat().as_slice()].concat())?;
    to.write_all(&(directory.len() as u32).to_le_bytes())?;
    to.write_all(&offset.to_le_bytes())?;
    to.write_all(&[0, 0])?;
    to.flush()
}
