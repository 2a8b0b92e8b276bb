//! A member's lock file: locked while its process lives, so that the others learn at once when it has ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A locked file. The kernel releases the lock when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    file: File,
}

impl LockFile {
    /// `None`: another process holds the lock, or is checking it just now.
    pub(super) fn take(folder: &Path, name: &str) -> io::Result<Option<LockFile>> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let path = path(folder, name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A member that left may have removed the file after we opened it. A lock on a removed file protects nothing.
        let lock = LockFile { path, file };
        Ok(lock.is_same()?.then_some(lock))
    }

    /// Whether its path still leads to it.
    pub(super) fn is_in_place(&self) -> bool {
        self.is_same().unwrap_or(false)
    }

    fn is_same(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok(ours.ino() == there.ino() && ours.dev() == there.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, then releases the lock. A file that stays is harmless.
    pub(super) fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether no process holds the lock of a name. Checks with a shared lock, so that two members that check do not see
/// each other. A missing file proves nothing; the leases then expire.
pub(super) fn is_free(folder: &Path, name: &str) -> bool {
    is_unlocked(&path(folder, name))
}

pub(super) fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

pub(super) const ENDING: &str = "lock";

pub(super) fn path(folder: &Path, name: &str) -> PathBuf {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let stem = if name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain) {
        name.to_string()
    } else {
        let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let hex: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("name-{hex}")
    };
    folder.join(format!("{stem}.{ENDING}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_held_and_free() {
        let folder = tempfile::tempdir().unwrap();
        let members = folder.path().join("members");
        for name in ["worker-1", "../escape", "", &"x".repeat(300)] {
            assert!(!is_free(&members, name), "no file proves nothing");
            let lock = LockFile::take(&members, name).unwrap().unwrap();
            assert!(LockFile::take(&members, name).unwrap().is_none());
            assert!(!is_free(&members, name));
            drop(lock);
            assert!(is_free(&members, name));
            let again = LockFile::take(&members, name).unwrap().unwrap();
            again.remove();
            assert!(!is_free(&members, name));
        }
        assert_eq!(std::fs::read_dir(&members).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
