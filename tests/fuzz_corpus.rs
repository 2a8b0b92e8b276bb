//! Every fuzz target over its corpus, then over mutations of it: the same ones each time, so that a failure comes back.

#[path = "../fuzz/targets.rs"]
mod targets;

use fastrand::Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MUTATIONS: u64 = 20_000;

/// What tends to lie at the edge of something.
const PIECES: [&[u8]; 16] = [
    b"\n",
    b"\r\n",
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"@",
    b"-",
    b"0",
    b"18446744073709551615",
    b"-1",
    b"\xf0\x9f\x92\x8c",
];

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a file"))
        .collect()
}

/// One to four changes: a bit, a byte, a part gone or twice, a piece put in, or the tail of another.
fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.u32(1..=4) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..=16)).min(bytes.len());
        match random.u32(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u32(0..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = random.choice(seeds).cloned().unwrap_or_default();
                let from = random.usize(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = random.choice(PIECES).unwrap_or(b"");
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn hold(name: &str) {
    let (_, target) = targets::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let seeds = corpus(name);
    assert!(seeds.len() >= 2, "{name} has no corpus");
    for seed in &seeds {
        target(seed);
    }
    for number in 0..MUTATIONS {
        let bytes = mutated(&seeds, &mut Rng::with_seed(number));
        if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
            panic!(
                "{name}, mutation {number}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn fuzz_csv() {
    hold("csv");
}

#[test]
fn fuzz_reply() {
    hold("reply");
}

#[test]
fn fuzz_chunk() {
    hold("chunk");
}

#[test]
fn fuzz_commit_text() {
    hold("commit_text");
}

#[test]
fn fuzz_campaign_record() {
    hold("campaign_record");
}

#[test]
fn fuzz_relay_url() {
    hold("relay_url");
}

#[test]
fn fuzz_campaign_toml() {
    hold("campaign_toml");
}

/// None is forgotten above, nor in `fuzz/`, whose binaries are nothing but the call.
#[test]
fn every_fuzz_target_has_a_binary() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    let here = include_str!("fuzz_corpus.rs");
    let binary =
        |name: &str| fs::read_to_string(fuzz.join("fuzz_targets").join(format!("{name}.rs")));
    let wanted = binary("csv").expect("a binary");
    for (name, _) in targets::ALL {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
        assert!(here.contains(&format!("hold(\"{name}\")")), "{name}");
        let wanted = wanted.replace("targets::csv(", &format!("targets::{name}("));
        assert_eq!(binary(name).expect("a binary"), wanted);
    }
}
