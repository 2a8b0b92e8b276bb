//! What running members say of themselves, a file each beside its lock file. Nothing depends on it, so it is not flushed
//! to the disk, and it goes with the member.

use super::lock_file;
use crate::private_file;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const ENDING: &str = "state";
/// Of a state that is being written.
const NEW: &str = "new";
/// A longer one is not read.
const MOST_BYTES: u64 = 1 << 20;

/// Replaces what this member said before. Blocks.
pub(super) fn publish(folder: &Path, member: &str, text: &str) -> io::Result<()> {
    let path = path(folder, member);
    let is_new = !path.exists();
    let new = path.with_extension(NEW);
    private_file::create(&new)?.write_all(text.as_bytes())?;
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
    for ending in [ENDING, NEW] {
        let _ = fs::remove_file(lock.with_extension(ending));
    }
}

/// Removes what killed members have left.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension();
        let is_state = ending.is_some_and(|ending| ending == ENDING || ending == NEW);
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
    use std::os::unix::fs::PermissionsExt;

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
        let state = fs::metadata(path(&folder, "host.example-1")).unwrap();
        assert_eq!(state.permissions().mode() & 0o777, 0o600);
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
        drop(LockFile::take(&folder, "half").unwrap().unwrap());
        let half_written = path(&folder, "half").with_extension(NEW);
        fs::write(&half_written, "o").unwrap();
        let _lock = LockFile::take(&folder, "running").unwrap().unwrap();
        publish(&folder, "running", "new").unwrap();
        assert_eq!(read(&folder, "killed"), None);
        assert!(!half_written.exists());
        assert_eq!(read(&folder, "running").as_deref(), Some("new"));
    }
}
