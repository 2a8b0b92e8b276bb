#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)] // The other targets.
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::reply(bytes));
