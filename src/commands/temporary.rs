//! Where temporary files go that grow with the list.

use std::path::{Path, PathBuf};

/// `TMPDIR`, else `/var/tmp`: `/tmp` is memory on many systems, and these files are made because memory is short.
pub fn folder() -> PathBuf {
    let chosen = std::env::temp_dir();
    let on_disk = Path::new("/var/tmp");
    match chosen == Path::new("/tmp") && on_disk.is_dir() {
        true => on_disk.to_path_buf(),
        false => chosen,
    }
}
