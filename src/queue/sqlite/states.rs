//! What running members say of themselves, a file each beside its lock file. Nothing depends on it, so it is not flushed
//! to the disk, and it goes with the member.

use super::lock_file;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ENDING: &str = "state";
/// A longer one is not read.
const MOST_BYTES: u64 = 1 << 20;

/// Replaces what this member said before. Blocks.
pub(super) fn publish(folder: &Path, member: &str, text: &str) -> io::Result<()> {
    let path = path(folder, member);
    let is_new = !path.exists();
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, &path)?;
    if is_new {
        sweep(folder)?;
    }
    Ok(())
}

/// What one member said last. `None`: nothing, or it cannot be read.
pub(super) fn read(folder: &Path, member: &str) -> Option<String> {
    let path = path(folder, member);
    let size = fs::metadata(&path).ok()?.len();
    (size <= MOST_BYTES).then(|| fs::read_to_string(&path).ok())?
}

/// Removes what the member with this lock file said.
pub(super) fn remove(lock: &Path) {
    for ending in [ENDING, "new"] {
        let _ = fs::remove_file(lock.with_extension(ending));
    }
}

/// Removes what killed members have left.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_state = path.extension().is_some_and(|ending| ending == ENDING);
        let lock = path.with_extension(lock_file::ENDING);
        if is_state && (!lock.exists() || lock_file::is_unlocked(&lock)) {
            remove(&lock);
        }
    }
    Ok(())
}

fn path(folder: &Path, member: &str) -> PathBuf {
    lock_file::path(folder, member).with_extension(ENDING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::sqlite::lock_file::LockFile;

    #[test]
    fn a_state_goes_with_its_member() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("members");
        // A name with a dot keeps its own file.
        let lock = LockFile::take(&folder, "host.example-1").unwrap().unwrap();
        publish(&folder, "host.example-1", "first").unwrap();
        publish(&folder, "host.example-1", "second").unwrap();
        assert_eq!(read(&folder, "host.example-1").as_deref(), Some("second"));
        assert_eq!(read(&folder, "host.example-2"), None);
        remove(lock.path());
        lock.remove();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_killed_member_s_state_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("members");
        drop(LockFile::take(&folder, "killed").unwrap().unwrap());
        fs::write(path(&folder, "killed"), "old").unwrap();
        let _lock = LockFile::take(&folder, "running").unwrap().unwrap();
        publish(&folder, "running", "new").unwrap();
        assert_eq!(read(&folder, "killed"), None);
        assert_eq!(read(&folder, "running").as_deref(), Some("new"));
    }
}
