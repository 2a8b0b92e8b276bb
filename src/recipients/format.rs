//! What a recipients file is, by its first bytes: text, a workbook that can be read, or something else that people save
//! under the name of a list.

use super::zip_directory::{self, ZipDirectory};
use std::fs::File;
use std::io::{self, Read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Xlsx,
    Ods,
    Foreign(ForeignFormat),
}

/// A format that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignFormat {
    /// With its article.
    pub name: &'static str,
    pub cure: Cure,
}

/// How a person makes a list of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// A spreadsheet program opens it.
    SaveAgain,
    /// It is an archive, or compressed.
    Unpack,
    /// The program that it comes from must write another format.
    Export,
}

const HEAD_BYTES: u64 = 4096;
/// A workbook that claims more than this uncompressed is refused, because it may be a few kilobytes in truth.
const MAX_WORKBOOK_BYTES: u64 = 1 << 30;

type Signature = (&'static [u8], &'static str, Cure);

/// First bytes of binary formats.
const SIGNATURES: [Signature; 13] = [
    (
        b"\xD0\xCF\x11\xE0",
        "an old Excel workbook (.xls), or one with a password",
        Cure::SaveAgain,
    ),
    (b"%PDF", "a PDF", Cure::Export),
    (b"{\\rtf", "a rich text document (.rtf)", Cure::Export),
    (b"\x1F\x8B", "compressed with gzip", Cure::Unpack),
    (b"BZh", "compressed with bzip2", Cure::Unpack),
    (b"\xFD7zXZ", "compressed with xz", Cure::Unpack),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd", Cure::Unpack),
    (b"7z\xBC\xAF", "a 7z archive", Cure::Unpack),
    (b"Rar!", "a RAR archive", Cure::Unpack),
    (b"\x89PNG", "a picture (PNG)", Cure::Export),
    (b"\xFF\xD8\xFF", "a picture (JPEG)", Cure::Export),
    (b"SQLite format 3", "an SQLite database", Cure::Export),
    (b"PAR1", "a Parquet file", Cure::Export),
];

/// Beginnings of text formats, in lower case, after white space.
const BEGINNINGS: [(&str, &str, Cure); 14] = [
    ("<!doctype html", "an HTML page", Cure::SaveAgain),
    ("<html", "an HTML page", Cure::SaveAgain),
    ("<table", "an HTML table", Cure::SaveAgain),
    ("<meta", "an HTML page", Cure::SaveAgain),
    ("<head", "an HTML page", Cure::SaveAgain),
    ("<style", "an HTML page", Cure::SaveAgain),
    ("<body", "an HTML page", Cure::SaveAgain),
    ("<div", "an HTML page", Cure::SaveAgain),
    ("<?xml", "an XML file", Cure::SaveAgain),
    ("begin:vcard", "a vCard file (.vcf)", Cure::Export),
    ("{\"", "a JSON file", Cure::Export),
    ("[{", "a JSON file", Cure::Export),
    ("[\"", "a JSON file", Cure::Export),
    ("dn: ", "an LDIF file", Cure::Export),
];

/// The file's position is moved.
pub fn recognise(file: &mut File) -> io::Result<Format> {
    let mut head = Vec::new();
    Read::by_ref(file).take(HEAD_BYTES).read_to_end(&mut head)?;
    let known = SIGNATURES
        .iter()
        .find(|(start, ..)| head.starts_with(start));
    if let Some((_, name, cure)) = known {
        return Ok(foreign(name, *cure));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(match zip_directory::read(file)? {
            Some(directory) => of_zip(&directory),
            None => foreign("a damaged zip archive or Excel workbook", Cure::SaveAgain),
        });
    }
    Ok(of_text(&head))
}

fn foreign(name: &'static str, cure: Cure) -> Format {
    Format::Foreign(ForeignFormat { name, cure })
}

fn of_zip(directory: &ZipDirectory) -> Format {
    let has = |name: &str| directory.names.iter().any(|found| found.starts_with(name));
    let is_workbook = has("xl/workbook.xml");
    if directory.uncompressed_bytes > MAX_WORKBOOK_BYTES && (is_workbook || has("content.xml")) {
        return foreign("a workbook of more than 1 GiB", Cure::SaveAgain);
    }
    if is_workbook {
        Format::Xlsx
    } else if has("content.xml") && has("mimetype") {
        Format::Ods
    } else if has("xl/workbook.bin") {
        foreign("a binary Excel workbook (.xlsb)", Cure::SaveAgain)
    } else if has("word/") {
        foreign("a Word document", Cure::Export)
    } else if has("Index/") || has("Index.zip") {
        foreign("a Numbers document", Cure::SaveAgain)
    } else {
        foreign("a zip archive", Cure::Unpack)
    }
}

fn of_text(head: &[u8]) -> Format {
    // Without the zeros and the mark of UTF-16, its ASCII reads like UTF-8.
    let is_kept = |byte: &&u8| !matches!(**byte, 0 | 0xFE | 0xFF | 0xEF | 0xBB | 0xBF);
    let text: Vec<u8> = head.iter().filter(is_kept).copied().collect();
    let text = text.trim_ascii_start().to_ascii_lowercase();
    let known = BEGINNINGS
        .iter()
        .find(|(start, ..)| text.starts_with(start.as_bytes()));
    match known {
        Some((_, name, cure)) => foreign(name, *cure),
        None => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Format {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        recognise(&mut file).unwrap()
    }

    #[test]
    fn names_files_that_are_no_list() {
        for (bytes, name) in [
            (
                &b"\xD0\xCF\x11\xE0\xA1\xB1"[..],
                "an old Excel workbook (.xls), or one with a password",
            ),
            (b"%PDF-1.7", "a PDF"),
            (b"\xEF\xBB\xBF\r\n <TABLE border=1><tr>", "an HTML table"),
            (b"\xFF\xFE<\0h\0t\0m\0l\0>\0", "an HTML page"),
            (b"[{\"email\":\"a@x.io\"}]", "a JSON file"),
            (b"BEGIN:VCARD\nVERSION:3.0", "a vCard file (.vcf)"),
            (
                b"PK\x03\x04 and nothing more",
                "a damaged zip archive or Excel workbook",
            ),
        ] {
            assert!(
                matches!(of(bytes), Format::Foreign(found) if found.name == name),
                "{name}"
            );
        }
        for bytes in [&b""[..], b"email,name\n", b"<email>;name", b"dnr,email"] {
            assert_eq!(of(bytes), Format::Text);
        }
    }
}
