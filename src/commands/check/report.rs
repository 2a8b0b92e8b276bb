//! What `check` has found so far.

use super::finding::Finding;
use crate::recipients::Counts;

/// The findings, and how much was checked.
#[derive(Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// `None`: the list could not be read.
    pub counts: Option<Counts>,
    pub rendered: u64,
    pub largest_bytes: usize,
}
