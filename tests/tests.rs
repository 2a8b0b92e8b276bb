//! The one integration binary: each level answers one question (see ARCHITECTURE.md).

mod queue_sqlite;
mod render;
