//! How a cell of a row becomes text.

use super::error::{RowProblem, control_name};

/// The cell as text. Tabs and line breaks are allowed, except in a cell that `reaches_header`: there a line break could
/// begin another header field.
pub fn text(cell: &[u8], reaches_header: bool) -> Result<&str, RowProblem> {
    let text = std::str::from_utf8(cell).map_err(|_| RowProblem::NotUtf8)?;
    if is_printable_ascii(cell) {
        return Ok(text);
    }
    for byte in cell.iter().copied().filter(u8::is_ascii_control) {
        let shown = control_name(byte);
        if !matches!(byte, b'\t' | b'\r' | b'\n') {
            return Err(RowProblem::Control { shown });
        }
        if reaches_header {
            return Err(RowProblem::ControlInHeader { shown });
        }
    }
    Ok(text)
}

/// Whether bytes need no look at single characters. True for most cells and rows.
pub fn is_printable_ascii(bytes: &[u8]) -> bool {
    // A fold without an early return compiles to vector instructions.
    bytes
        .iter()
        .fold(true, |so_far, byte| so_far & matches!(byte, b' '..=b'~'))
}
