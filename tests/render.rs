//! Messages as they are rendered: golden files, templates and their errors, hostile cells.

mod fixture;
mod golden;
mod messages;
mod templates;
