//! The files of a new project. Existing files are kept.

use crate::commands::Failure;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Which files were created and which existed.
#[derive(Debug, Default)]
pub struct Files {
    pub created: Vec<PathBuf>,
    pub kept: Vec<PathBuf>,
}

impl Files {
    /// Writes a file and its folders, unless the file exists.
    pub fn write(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        }
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())
                    .map_err(|error| unwritable(path, &error))?;
                self.note(path, false);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.note(path, true),
            Err(error) => return Err(unwritable(path, &error)),
        }
        Ok(())
    }

    pub fn note(&mut self, path: &Path, there: bool) {
        match there {
            true => self.kept.push(path.to_path_buf()),
            false => self.created.push(path.to_path_buf()),
        }
    }
}

pub fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`", path.display())).caused_by(error)
}
