//! The one integration binary: each level answers one question (see ARCHITECTURE.md).
// Tests fail by panicking, and helpers of tests are not covered by clippy.toml's `allow-*-in-tests`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::string_slice, clippy::print_stdout, clippy::print_stderr)]

mod architecture;
mod cli;
