//! Collects what the queue says of the recipients of some runs, and gives it back recipient by recipient. What is
//! collected lies sorted in a temporary file, so memory is the same for a thousand recipients and for ten million.

use super::error::AccountError;
use super::fact::{Fact, MAX_ROWS, RecipientKey};
use super::findings::Findings;
use super::history::History;
use super::history_file::HistoryFile;
use super::sorter::{Sorted, Sorter};
use crate::domain::ids::{Row, RunKey, shown_row};
use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A run that facts are collected of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub key: RunKey,
    /// `campaign/run`, for findings.
    pub name: String,
    /// A fact of a row that is not below this is a finding.
    pub rows: u64,
    pub is_cancelled: bool,
}

pub struct Facts {
    subjects: Vec<Subject>,
    indexes: HashMap<RunKey, usize>,
    sorter: Sorter,
    folder: PathBuf,
    entry: Vec<u8>,
    failed: Option<io::Error>,
    pub findings: Findings,
}

impl Facts {
    /// `folder`: for the temporary file.
    pub fn new(subjects: Vec<Subject>, folder: &Path) -> Facts {
        let keys = subjects.iter().map(|subject| subject.key);
        Facts {
            indexes: keys.zip(0..).collect(),
            subjects,
            sorter: Sorter::new(folder),
            folder: folder.to_path_buf(),
            entry: Vec::new(),
            failed: None,
            findings: Findings::default(),
        }
    }

    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    pub fn is_asked(&self, run: RunKey) -> bool {
        self.indexes.contains_key(&run)
    }

    /// Facts of other runs are left out. Breaks off when the temporary file fails; [`Facts::check`] says how.
    pub fn add(&mut self, run: RunKey, row: Row, fact: &Fact<'_>) -> ControlFlow<()> {
        let Some(index) = self.indexes.get(&run).copied() else {
            return ControlFlow::Continue(());
        };
        if let Some(subject) = self.subjects.get(index)
            && row >= subject.rows.min(MAX_ROWS)
        {
            let Subject { name, rows, .. } = subject;
            let row = shown_row(row);
            let line = format!("row {row} of {name}: the run has only {rows} rows");
            self.findings.add(line);
            return ControlFlow::Continue(());
        }
        fact.encode(RecipientKey::new(index, row), &mut self.entry);
        match self.sorter.push(&self.entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Errors: the temporary file has failed.
    pub fn check(&mut self) -> Result<(), AccountError> {
        match self.failed.take() {
            Some(error) => Err(AccountError::scratch(&self.folder, error)),
            None => Ok(()),
        }
    }

    /// All that was collected, and what was found wrong on the way.
    pub fn finish(mut self) -> Result<(Histories, Findings), AccountError> {
        self.check()?;
        let sorted = self.sorter.finish();
        let histories = Histories {
            subjects: self.subjects,
            sorted: sorted.map_err(|error| AccountError::scratch(&self.folder, error))?,
            folder: self.folder,
        };
        Ok((histories, self.findings))
    }
}

/// What is known of each recipient, by run and row.
pub struct Histories {
    subjects: Vec<Subject>,
    sorted: Sorted,
    folder: PathBuf,
}

impl Histories {
    /// Gives every row of every run in order, those included of which nothing is known, until `out` breaks off.
    pub fn each(
        mut self,
        out: &mut dyn FnMut(&Subject, &History) -> ControlFlow<()>,
    ) -> Result<(), AccountError> {
        let mut history = History::default();
        for (index, subject) in self.subjects.iter().enumerate() {
            for row in 0..subject.rows.min(MAX_ROWS) {
                history.begin(RecipientKey::new(index, row));
                gather(&mut self.sorted, &mut history)
                    .map_err(|error| AccountError::scratch(&self.folder, error))?;
                if out(subject, &history).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Histories {
    /// For those who look recipients up.
    pub fn into_file(self) -> Result<HistoryFile, AccountError> {
        HistoryFile::write(self.sorted, &self.folder)
            .map_err(|error| AccountError::scratch(&self.folder, error))
    }
}

/// Takes the entries of one recipient.
fn gather(sorted: &mut Sorted, history: &mut History) -> io::Result<()> {
    while let Some(entry) = sorted.entry()
        && RecipientKey::of(entry) == Some(history.key)
    {
        history.add(entry)?;
        sorted.advance()?;
    }
    Ok(())
}
