//! Creates files that hold addresses, messages or replies: for their owner only, whatever the umask is.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const OWNER_ONLY: u32 = 0o600;

/// An empty file for writing. One that exists is emptied, and its mode becomes the same.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(path)?;
    let found = file.metadata()?;
    // A device such as `/dev/stdout` keeps its mode.
    if found.is_file() && found.permissions().mode() & 0o777 != OWNER_ONLY {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.csv");
        std::fs::write(&path, "old and longer").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for path in [path, folder.path().join("new")] {
            drop(create(&path).unwrap());
            let found = std::fs::metadata(&path).unwrap();
            assert_eq!(
                (found.permissions().mode() & 0o777, found.len()),
                (0o600, 0)
            );
        }
    }
}
