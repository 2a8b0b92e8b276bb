//! One row of a recipients file as the file has it: cells of bytes, not checked yet.

/// The cells of one row, without quotes and delimiters. One `Record` is reused for all rows of a file.
#[derive(Debug, Default)]
pub struct Record {
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.text.as_slice();
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let (cell, after) = rest.split_at(*end - start);
            (rest, start) = (after, *end);
            cell
        })
    }

    /// All cells, one after the other.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Appends bytes to the cell being read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// Whether no cell holds more than white space.
    pub fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }

    /// Leaves the formula out of the cell being read if it is a text: `="00123"` becomes `00123`.
    pub(super) fn unwrap_formula_text(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        let cell = self.text.get(start..).unwrap_or_default();
        let inside = cell
            .strip_prefix(b"=\"")
            .and_then(|cell| cell.strip_suffix(b"\""));
        if inside.is_some_and(|text| !text.contains(&b'"')) {
            self.text.pop();
            self.text.drain(start..start + 2);
        }
    }

    /// Ends the cell being read and returns its length in bytes.
    pub(super) fn end_cell(&mut self) -> usize {
        let start = self.ends.last().copied().unwrap_or(0);
        self.ends.push(self.text.len());
        self.text.len() - start
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_in_order_and_a_cleared_record_is_empty() {
        let mut record = Record::default();
        record.push(b"an");
        record.push(b"na");
        assert_eq!(record.end_cell(), 4);
        assert_eq!(record.end_cell(), 0);
        record.push(b"x");
        assert_eq!(record.end_cell(), 1);
        let cells: Vec<&[u8]> = record.cells().collect();
        assert_eq!(cells, [&b"anna"[..], b"", b"x"]);
        assert_eq!((record.len(), record.text()), (3, &b"annax"[..]));
        record.clear();
        assert_eq!((record.len(), record.cells().count()), (0, 0));
    }
}
