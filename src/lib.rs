//! mailq: bulk mail campaigns that lose nobody. The binary is a thin shell around this library; the floors are
//! described in ARCHITECTURE.md, and `tests/architecture.rs` keeps imports pointing down.

pub mod bounce;
pub mod bounded_file;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod domain;
pub mod engine;
pub mod private_file;
pub mod protocol;
pub mod queue;
pub mod recipients;
pub mod render;
pub mod smtp;
pub mod suppression;
pub mod threads;
