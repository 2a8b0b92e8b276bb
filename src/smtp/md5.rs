//! MD5 (RFC 1321) and HMAC (RFC 2104) over it, for CRAM-MD5 alone. MD5 protects nothing else here.

const BLOCK: usize = 64;
const SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

pub fn hmac(key: &[u8], text: &[u8]) -> [u8; 16] {
    let mut padded = [0; BLOCK];
    let hashed = md5(key);
    let key = if key.len() > BLOCK { &hashed[..] } else { key };
    for (to, from) in padded.iter_mut().zip(key) {
        *to = *from;
    }
    let keyed = |pad: u8, rest: &[u8]| {
        let mut bytes = padded.map(|byte| byte ^ pad).to_vec();
        bytes.extend_from_slice(rest);
        md5(&bytes)
    };
    keyed(0x5c, &keyed(0x36, text))
}

fn md5(text: &[u8]) -> [u8; 16] {
    let mut bytes = text.to_vec();
    bytes.push(0x80);
    while bytes.len() % BLOCK != BLOCK - 8 {
        bytes.push(0);
    }
    bytes.extend_from_slice(&(text.len() as u64 * 8).to_le_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in bytes.chunks_exact(BLOCK) {
        state = with_block(state, block);
    }
    let mut digest = [0; 16];
    let words = state.into_iter().flat_map(u32::to_le_bytes);
    for (to, from) in digest.iter_mut().zip(words) {
        *to = from;
    }
    digest
}

fn with_block(state: [u32; 4], block: &[u8]) -> [u32; 4] {
    let words = block.as_chunks::<4>().0;
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..BLOCK {
        let (mixed, index) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let word = words.get(index % 16).copied().unwrap_or_default();
        // The constants are the sines of whole numbers (RFC 1321 §3.4).
        let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
        let shifts = SHIFTS.get(step / 16).copied().unwrap_or_default();
        let shift = shifts.get(step % 4).copied().unwrap_or_default();
        let sum = a
            .wrapping_add(mixed)
            .wrapping_add(constant)
            .wrapping_add(u32::from_le_bytes(word));
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
    }
    let [a0, b0, c0, d0] = state;
    [
        a0.wrapping_add(a),
        b0.wrapping_add(b),
        c0.wrapping_add(c),
        d0.wrapping_add(d),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::hex;

    #[test]
    fn digests_of_the_rfcs() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(hex(&md5(text.as_bytes())), digest, "{text}");
        }
        // RFC 2202 §2, cases 2 and 6.
        let digest = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&digest), "750c783e6ab0b503eaa86e310a5db738");
        let digest = hmac(
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
        );
        assert_eq!(hex(&digest), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }
}
