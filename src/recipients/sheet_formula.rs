//! Cells with a formula. A workbook holds what a formula came to when a spreadsheet program saved it; programs that only
//! write workbooks leave that out. Nothing is calculated here but a link whose text stands in its formula.

/// Formulas without a result: how many, and where the first one is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uncomputed {
    count: u64,
    first: Option<(u32, u32)>,
}

impl Uncomputed {
    /// A formula without a result at this row and column, from 0.
    pub fn add(&mut self, place: (u32, u32)) {
        self.count += 1;
        self.first.get_or_insert(place);
    }

    /// The name of the first cell with such a formula, and how many there are.
    pub fn found(self) -> Option<(String, u64)> {
        self.first.map(|place| (cell_name(place), self.count))
    }
}

/// The name of a cell as spreadsheet programs show it: `AB12`. Row and column are from 0.
fn cell_name((row, column): (u32, u32)) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        letters.push(char::from(b'A' + ((rest - 1) % 26) as u8));
        rest = (rest - 1) / 26;
    }
    let letters: String = letters.iter().rev().collect();
    format!("{letters}{}", u64::from(row) + 1)
}

/// What `HYPERLINK("mailto:anna@example.org","Anna")` shows: its second text, or the first one if it is alone. `None`: it
/// is another formula, or its texts come from other cells. OpenDocument writes `of:=` before it, and `;` between.
pub fn link_text(formula: &str) -> Option<String> {
    let formula = match formula.split_once('=') {
        Some(("" | "of:" | "oooc:" | "msoxl:", rest)) => rest,
        _ => formula,
    };
    let name = formula.get(.."HYPERLINK".len())?;
    let rest = formula.get(name.len()..)?.trim_start();
    let inside = rest.strip_prefix('(')?.trim_end().strip_suffix(')')?;
    if !name.eq_ignore_ascii_case("HYPERLINK") {
        return None;
    }
    let (target, rest) = text_literal(inside.trim())?;
    let Some(rest) = rest.trim_start().strip_prefix([',', ';']) else {
        return rest.trim().is_empty().then_some(target);
    };
    let (text, rest) = text_literal(rest.trim())?;
    rest.trim().is_empty().then_some(text)
}

/// A text in quotes at the beginning, and what is behind it. Two quotes inside stand for one.
fn text_literal(from: &str) -> Option<(String, &str)> {
    let mut rest = from.strip_prefix('"')?;
    let mut text = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        text.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Some((text, behind)),
        }
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_text_of_a_link() {
        for (formula, text) in [
            (r#"HYPERLINK("mailto:a@x.io","a@x.io")"#, Some("a@x.io")),
            (
                r#"of:=HYPERLINK("mailto:a@x.io" ; "Anna ""A"" B.")"#,
                Some(r#"Anna "A" B."#),
            ),
            (r#"=Hyperlink ( "a@x.io" ) "#, Some("a@x.io")),
            (r#"HYPERLINK("mailto:"&A2,"a")"#, None),
            (r#"HYPERLINK("a",B2)"#, None),
            (r#"HYPERLINK("a","b"&"c")"#, None),
            (r#"HYPERLINK("a","b)"#, None),
            (r#"CONCATENATE("a","=b")"#, None),
            ("ÄÖÜÄÖÜ", None),
            ("", None),
        ] {
            assert_eq!(link_text(formula).as_deref(), text, "{formula}");
        }
    }

    #[test]
    fn names_cells_as_spreadsheet_programs_do() {
        for (place, name) in [
            ((0, 0), "A1"),
            ((4, 25), "Z5"),
            ((9, 26), "AA10"),
            ((0, 701), "ZZ1"),
            ((1_048_575, 16_383), "XFD1048576"),
        ] {
            assert_eq!(cell_name(place), name);
        }
    }
}
