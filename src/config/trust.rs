//! Whose configuration is used. A `mailq.toml` names commands that mailq runs, so one that was found by searching must be
//! this user's, and no file that decides what is sent may be writable by everybody.
//!
//! A file that its group may write is accepted, as in Git: many systems give every user a group of the same name, and
//! shared projects use a group.

use super::error::ConfigError;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const OTHERS_WRITE: u32 = 0o002;
/// In such a folder nobody can replace the file of somebody else.
const STICKY: u32 = 0o1000;

/// Checks a project file that nobody has named. The one in the working directory is the choice of who went there; one
/// above it, or above a campaign elsewhere, must belong to this user or to root, and so must its folder.
pub(super) fn check_found(file: &Path, here: &Path) -> Result<(), ConfigError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    if folder == here {
        return Ok(());
    }
    let untrusted = |why: String| ConfigError::NotOurs {
        path: file.to_path_buf(),
        why,
    };
    for path in [file, folder] {
        let found = metadata(path)?;
        if !is_ours(&found) {
            return Err(untrusted(format!(
                "`{}` belongs to `{}`, and mailq runs as `{}`",
                path.display(),
                user_name(found.uid()),
                user_name(own_user())
            )));
        }
    }
    let mode = metadata(folder)?.mode();
    match mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        true => Err(untrusted(format!(
            "every user may write to its folder `{}` (mode {:o})",
            folder.display(),
            mode & 0o7777
        ))),
        false => Ok(()),
    }
}

/// Checks that not everybody may write to a file. One that does not exist passes.
pub fn check_mode(path: &Path) -> Result<(), ConfigError> {
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    match found.is_file() && found.mode() & OTHERS_WRITE != 0 {
        true => Err(ConfigError::OthersMayWrite {
            path: path.to_path_buf(),
            mode: found.mode() & 0o7777,
        }),
        false => Ok(()),
    }
}

/// Root can change any file anyway. Under sudo, files of the calling user count as ours.
fn is_ours(found: &Metadata) -> bool {
    let caller = std::env::var("SUDO_UID").ok();
    let caller = caller.and_then(|id| id.parse().ok());
    let caller = caller.filter(|_| own_user() == 0);
    found.uid() == own_user() || found.uid() == 0 || Some(found.uid()) == caller
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn metadata(path: &Path) -> Result<Metadata, ConfigError> {
    std::fs::metadata(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_path_buf(),
        why: error.to_string(),
    })
}

/// A user's name, or the number if there is none.
pub fn user_name(id: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_string())
    });
    found.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(file: &Path, here: &Path) -> String {
        let checked = check_found(file, here);
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_project_above_the_working_directory_must_be_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mailq.toml");
        let below = folder.path().join("below");
        std::fs::write(&file, "").unwrap();
        assert_eq!(refused(&file, &below), "");
        set_mode(folder.path(), 0o777);
        assert!(refused(&file, &below).contains("every user may write to its folder"));
        set_mode(folder.path(), 0o1777);
        assert_eq!(refused(&file, &below), "");
        set_mode(folder.path(), 0o775);
        assert_eq!(refused(&file, &below), "");
        // Only root can give files away.
        if chown(&file, Some(54_321), None).is_ok() {
            assert!(refused(&file, &below).contains("belongs to `54321`"));
            assert_eq!(refused(&file, folder.path()), "");
            chown(&file, Some(own_user()), None).unwrap();
            chown(folder.path(), Some(54_321), None).unwrap();
            assert!(refused(&file, &below).contains("belongs to `54321`"));
        }
    }

    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, is_accepted) in [(0o600, true), (0o664, true), (0o646, false)] {
            set_mode(file.path(), mode);
            assert_eq!(check_mode(file.path()).is_ok(), is_accepted, "{mode:o}");
        }
        assert_eq!(check_mode(Path::new("/nowhere/at/all")), Ok(()));
    }

    #[test]
    fn names_users() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "4000000000");
    }
}
