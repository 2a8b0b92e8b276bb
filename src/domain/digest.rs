//! The forms in which the product uses SHA-256 and HMAC: hexadecimal text, or the leading bits as a number.

use ring::digest;

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(hex_digit).collect()
}

fn hex_digit(nibble: u8) -> char {
    char::from(match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    })
}

/// The first 8 bytes as a big-endian number.
pub fn leading_64_bits(digest: &[u8]) -> u64 {
    let leading = digest.iter().take(8);
    leading.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The first 16 bytes as a big-endian number.
pub fn leading_128_bits(digest: &[u8]) -> u128 {
    let leading = digest.iter().take(16);
    leading.fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_are_big_endian() {
        let bytes: Vec<u8> = (0xf0..=0xff).chain([0; 16]).collect();
        assert!(hex(&bytes).starts_with("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00"));
        assert_eq!(leading_64_bits(&bytes), 0xf0f1_f2f3_f4f5_f6f7);
        let wide = format!("{:032x}", leading_128_bits(&bytes));
        assert_eq!(wide, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    }
}
