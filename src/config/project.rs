//! Which folder a command works in: the one of the nearest `mailq.toml`, so that cron can start a command in any folder.

use super::error::ConfigError;
use super::source::Variables;
use super::trust;
use std::path::{Path, PathBuf};

pub const PROJECT_FILE: &str = "mailq.toml";

/// The folder of a project. The queue, `templates/` and relative paths in `mailq.toml` are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Absolute.
    pub root: PathBuf,
    /// Its `mailq.toml`. `None`: there is none, so defaults, variables and flags apply.
    pub file: Option<PathBuf>,
}

impl Project {
    /// `--config`, then `CONFIG_FILE`, then the nearest `mailq.toml` upwards from the campaign's folder, then from the
    /// working directory. Without any of them, the campaign's folder, else the working directory, is the project.
    /// Errors: the named file does not exist; the found one is not this user's, or everybody may write to it.
    pub fn discover(
        campaign: Option<&Path>,
        config: Option<&Path>,
        variables: &Variables,
    ) -> Result<Project, ConfigError> {
        let named = config
            .map(Path::to_path_buf)
            .or_else(|| variables.get("CONFIG_FILE").map(PathBuf::from));
        if let Some(file) = named {
            let file = absolute(&file)?;
            if !file.is_file() {
                return Err(ConfigError::NoFile(file));
            }
            trust::check_mode(&file)?;
            return Ok(Project::of(&file));
        }
        let here = absolute(Path::new("."))?;
        let beside = match campaign.filter(|path| path.exists()) {
            Some(path) => absolute(path)?.parent().map(Path::to_path_buf),
            None => None,
        };
        let project = Project::around(beside, here.clone());
        if let Some(file) = &project.file {
            trust::check_found(file, &here)?;
            trust::check_mode(file)?;
        }
        Ok(project)
    }

    fn around(beside: Option<PathBuf>, here: PathBuf) -> Project {
        let found = beside
            .as_deref()
            .and_then(nearest)
            .or_else(|| nearest(&here));
        match found {
            Some(file) => Project::of(&file),
            None => Project {
                root: beside.unwrap_or(here),
                file: None,
            },
        }
    }

    fn of(file: &Path) -> Project {
        Project {
            root: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            file: Some(file.to_path_buf()),
        }
    }

    pub fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }
}

fn nearest(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|folder| folder.join(PROJECT_FILE))
        .find(|file| file.is_file())
}

/// Absolute, with links resolved, so that a link to a campaign finds the project of the campaign.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(|error| ConfigError::Unreadable {
            path: path.to_path_buf(),
            why: error.to_string(),
        })
}

/// The name of a file in messages: relative to the working directory if the file is below it.
pub(super) fn display_name(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    here.ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn finds_the_nearest_file_above_the_campaign() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let campaigns = root.join("a/campaigns");
        std::fs::create_dir_all(&campaigns).unwrap();
        let campaign = campaigns.join("x.toml");
        std::fs::write(&campaign, "").unwrap();
        let none = Project::around(Some(campaigns.clone()), root.clone());
        assert_eq!((none.root, none.file), (campaigns.clone(), None));
        let none = Project::around(None, root.clone());
        assert_eq!((none.root, none.file), (root.clone(), None));

        std::fs::write(root.join(PROJECT_FILE), "").unwrap();
        let outer = Project::discover(Some(&campaign), None, &variables(&[])).unwrap();
        assert_eq!(outer.root, root);
        std::fs::write(root.join("a").join(PROJECT_FILE), "").unwrap();
        let inner = Project::discover(Some(&campaign), None, &variables(&[])).unwrap();
        assert_eq!(inner.root, root.join("a"));
        assert_eq!(inner.templates(), root.join("a/templates"));

        let named = root.join(PROJECT_FILE);
        let given = [("CONFIG_FILE", named.to_str().unwrap())];
        let by_variable = Project::discover(Some(&campaign), None, &variables(&given)).unwrap();
        assert_eq!(by_variable.root, root);
        let inner_file = root.join("a").join(PROJECT_FILE);
        let by_flag =
            Project::discover(Some(&campaign), Some(&inner_file), &variables(&given)).unwrap();
        assert_eq!(by_flag.root, root.join("a"));
        let missing = Project::discover(None, Some(&root.join("no.toml")), &variables(&[]));
        assert_eq!(missing, Err(ConfigError::NoFile(root.join("no.toml"))));
    }
}
