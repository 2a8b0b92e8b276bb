//! Writes a suppression list as CSV that can be imported again and holds no formula for a spreadsheet to run.

use super::entry::Entry;
use crate::domain::csv_cell::escape_formula_reversibly;

/// The columns of the CSV.
pub const HEADER: [&str; 5] = ["address", "reason", "source", "since", "campaign"];

/// One line of the CSV, in the order of [`HEADER`].
pub fn cells(entry: &Entry) -> [String; 5] {
    [
        cell(&entry.address),
        cell(&entry.reason.to_string()),
        cell(&entry.source),
        cell(&entry.since),
        cell(entry.campaign.as_deref().unwrap_or("")),
    ]
}

/// The import reads one entry a line, so line breaks become spaces.
fn cell(text: &str) -> String {
    escape_formula_reversibly(&text.replace(['\n', '\r'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(
        entries: impl IntoIterator<Item = Entry>,
        target: impl std::io::Write,
    ) -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_writer(target);
        writer.write_record(HEADER)?;
        for entry in entries {
            writer.write_record(cells(&entry))?;
        }
        writer.flush()?;
        Ok(())
    }
    use crate::domain::outcome::Reason;
    use crate::suppression::Import;
    use crate::suppression::fold;
    use proptest::prelude::*;

    fn entry(address: &str, source: &str) -> Entry {
        Entry {
            address: address.to_string(),
            reason: Reason::Complaint,
            source: source.to_string(),
            since: "2026-05-01T00:00:00Z".to_string(),
            campaign: None,
        }
    }

    #[test]
    fn exported_cells_are_not_formulas() {
        let mut written = Vec::new();
        let entries = [
            entry("=cmd@x.example", "@SUM(A1)\n\r=x"),
            entry("'-a@x.example", "-1"),
        ];
        export(entries, &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "address,reason,source,since,campaign\n\
             '=cmd@x.example,complaint,'@SUM(A1)  =x,2026-05-01T00:00:00Z,\n\
             ''-a@x.example,complaint,'-1,2026-05-01T00:00:00Z,\n"
        );
    }

    proptest! {
        #[test]
        fn an_exported_list_can_be_imported(
            locals in prop::collection::vec("['=+@a-z0-9,;\"#-]{1,20}", 1..20),
            source in "\\PC{0,40}",
        ) {
            let addresses: Vec<String> = locals.iter().map(|l| fold(&format!("{l}@b.example"))).collect();
            let mut written = Vec::new();
            export(addresses.iter().map(|a| entry(a, &source)), &mut written).unwrap();
            for (read, address) in Import::new(written.as_slice()).zip(&addresses) {
                let read = read.unwrap();
                prop_assert_eq!(&read.address, address);
                prop_assert_eq!(read.reason, Reason::Complaint);
                prop_assert_eq!(read.source.unwrap_or_default(), source.trim());
                prop_assert_eq!(read.since.as_deref(), Some("2026-05-01T00:00:00Z"));
            }
            prop_assert_eq!(Import::new(written.as_slice()).count(), addresses.len());
        }
    }
}
