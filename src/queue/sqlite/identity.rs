//! Which files a process has open. SQLite goes on in a file that was removed or replaced, and nobody else sees that.

use crate::queue::QueueError;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files by their device and inode. While a file is open, no other file gets its inode.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity(Arc<[OpenFile]>);

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of files that were just opened.
    pub(super) fn of(paths: &[&Path]) -> io::Result<Identity> {
        let open = |path: &&Path| {
            let found = std::fs::metadata(path)?;
            Ok(OpenFile {
                path: path.to_path_buf(),
                device: found.dev(),
                inode: found.ino(),
            })
        };
        paths
            .iter()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Identity)
    }

    /// Whether the paths still lead to the files. A path that cannot be looked at proves nothing. Errors: `Gone`.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.0.iter().try_for_each(OpenFile::check)
    }
}

impl OpenFile {
    fn check(&self) -> Result<(), QueueError> {
        let what = match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => return Ok(()),
            Ok(_) => "another file is in its place",
            Err(error) if is_absence(&error) => "it was removed or renamed",
            Err(_) => return Ok(()),
        };
        Err(QueueError::Gone {
            path: self.path.display().to_string(),
            what: what.to_string(),
        })
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn what(identity: &Identity) -> Option<String> {
        match identity.check() {
            Ok(()) => None,
            Err(QueueError::Gone { what, .. }) => Some(what),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_file_that_was_removed_renamed_or_replaced_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("q"), folder.path().join("other"));
        fs::write(&path, "1").unwrap();
        let identity = Identity::of(&[&path]).unwrap();
        assert_eq!(what(&identity), None);
        fs::write(&path, "2").unwrap();
        assert_eq!(what(&identity), None, "written to, it is the same file");
        fs::rename(&path, &other).unwrap();
        let removed = Some("it was removed or renamed".to_string());
        assert_eq!(what(&identity), removed);
        fs::write(&path, "3").unwrap();
        let replaced = Some("another file is in its place".to_string());
        assert_eq!(what(&identity), replaced);
        fs::rename(&other, &path).unwrap();
        assert_eq!(what(&identity), None, "it is back");
        drop(folder);
        assert_eq!(what(&identity), removed);
    }
}
