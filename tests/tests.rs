//! The one integration binary: each level answers one question (see ARCHITECTURE.md).
// Tests fail by panicking, and helpers of tests are not covered by clippy.toml's `allow-*-in-tests`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(clippy::string_slice, clippy::print_stdout, clippy::print_stderr)]
// Tables of cases are long and read well.
#![allow(clippy::too_many_lines)]

mod acceptance;
mod architecture;
mod cli;
mod commands;
mod engine;
mod formats;
mod fuzz_corpus;
#[cfg(feature = "kafka")]
mod kafka_brokers;
mod postfix;
mod prometheus;
mod queue_contract;
#[cfg(feature = "kafka")]
mod queue_kafka;
mod queue_sqlite;
mod render;
mod simulation;
mod smtp;
mod verbs;
