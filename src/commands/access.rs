//! Which files this user may not use, and whose they are.

use crate::config::user_name;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why this user may not use a file, with its owner. `None`: it may, or there is no such file.
pub fn denied(path: &Path, access: Access) -> Option<String> {
    let may_not = |path: &Path, access| {
        matches!(
            accessat(CWD, path, access, AtFlags::EACCESS),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM)
        )
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut folders: Vec<&Path> = absolute.ancestors().skip(1).collect();
    folders.reverse();
    let closed = folders
        .into_iter()
        .find(|folder| may_not(folder, Access::EXEC_OK));
    let (culprit, verb) = match closed {
        Some(folder) => (folder, "enter"),
        None if may_not(path, Access::READ_OK) && access.contains(Access::READ_OK) => {
            (path, "read")
        }
        None if may_not(path, access) => (path, "write to"),
        None => return None,
    };
    let owner = match std::fs::metadata(culprit) {
        Ok(found) => format!(
            "it belongs to `{}` (mode {:o})",
            user_name(found.uid()),
            found.mode() & 0o7777
        ),
        Err(_) => "its owner is not known".to_string(),
    };
    Some(format!(
        "no permission to {verb} `{}`: {owner}, and mailq runs as `{}`",
        culprit.display(),
        user_name(rustix::process::geteuid().as_raw())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_files_that_are_not_there() {
        assert_eq!(denied(Path::new("/nowhere/at/all"), Access::READ_OK), None);
    }
}
