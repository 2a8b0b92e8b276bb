//! Encoded words: text beyond ASCII in a header field (RFC 2047).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest encoded word, and longest line that contains one (RFC 2047 §2).
const MAX_WORD: usize = 75;
pub const MAX_LINE: usize = 76;
/// Characters of an encoded word around its text: `=?utf-8?q?` and `?=`.
const FRAME: usize = 12;
/// The first word goes to the next line if the first line has less room for its text than this. One character takes up
/// to 12.
const MIN_ROOM: usize = 12;

/// Appends the value as encoded words, folded. `column` is where the first line stands. Uses the shorter of the
/// encodings Q and B.
pub fn write(value: &str, column: usize, out: &mut Vec<u8>) {
    let in_q: usize = value.chars().map(q_length).sum();
    let in_b = value.len().div_ceil(3) * 4;
    let is_q = in_q <= in_b;
    let mut room = MAX_LINE.saturating_sub(column + FRAME);
    if room < MIN_ROOM {
        out.extend_from_slice(b"\r\n ");
        room = MAX_WORD - FRAME;
    }
    let mut rest = value;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(fitting(rest, room, is_q));
        match is_q {
            true => write_q(piece, out),
            false => write_b(piece, out),
        }
        rest = later;
        if !rest.is_empty() {
            out.extend_from_slice(b"\r\n ");
        }
        room = MAX_WORD - FRAME;
    }
}

/// Bytes of the characters that fit into an encoded word with this much room, at least one character. A character is
/// never split (RFC 2047 §5).
fn fitting(text: &str, room: usize, is_q: bool) -> usize {
    let mut length = 0;
    let mut used = 0;
    for c in text.chars() {
        let next = length + c.len_utf8();
        used += q_length(c);
        let needed = if is_q { used } else { next.div_ceil(3) * 4 };
        if needed > room && length > 0 {
            break;
        }
        length = next;
    }
    length
}

fn q_length(c: char) -> usize {
    match c {
        ' ' => 1,
        c if is_q_literal(c) => 1,
        c => c.len_utf8() * 3,
    }
}

/// Characters that are allowed unencoded everywhere, in a phrase too (RFC 2047 §5 (3)).
fn is_q_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '!' | '*' | '+' | '-' | '/')
}

fn write_q(piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"=?utf-8?q?");
    for c in piece.chars() {
        match c {
            ' ' => out.push(b'_'),
            c if is_q_literal(c) => out.push(c as u8),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.extend_from_slice(format!("={byte:02X}").as_bytes());
                }
            }
        }
    }
    out.extend_from_slice(b"?=");
}

fn write_b(piece: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"=?utf-8?b?");
    out.extend_from_slice(STANDARD.encode(piece).as_bytes());
    out.extend_from_slice(b"?=");
}
