//! Whether this user may use the files of a project. SQLite says "unable to open database file" for a file of another
//! user, as for much that passes by itself; this never does.

use crate::commands::Failure;
use crate::commands::access::denied;
use crate::config::{check_mode, user_name};
use crate::domain::shell_word::shell_word;
use rustix::fs::Access;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files beside a queue that SQLite writes to.
const BESIDE: [&str; 6] = [
    "-wal",
    "-shm",
    "-slots",
    "-slots-wal",
    "-slots-shm",
    ".lock",
];

/// Checks the queue, its folder and the key. Errors: the first file that this user may not use, or that
/// everybody may write to.
pub fn check(queue: &Path, key: &Path) -> Result<(), Failure> {
    let write = Access::READ_OK | Access::WRITE_OK;
    let folder = queue.parent().unwrap_or(Path::new("."));
    let mut needed = vec![
        (existing(folder), Access::WRITE_OK | Access::EXEC_OK),
        (queue.to_path_buf(), write),
        (key.to_path_buf(), Access::READ_OK),
    ];
    let name = queue.file_name().unwrap_or_default().to_os_string();
    needed.extend(BESIDE.iter().map(|ending| {
        let mut name = name.clone();
        name.push(ending);
        (queue.with_file_name(name), write)
    }));
    for (path, access) in needed {
        check_mode(&path)?;
        if let Some(why) = denied(&path, access) {
            let what = format!("{why}; nothing was done");
            return Err(Failure::usage(what).with_hint(cure(&path, folder)));
        }
    }
    Ok(())
}

/// The nearest folder that exists: mailq creates the ones below it.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|path| path.exists());
    match found {
        Some(path) if !path.as_os_str().is_empty() => path.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn cure(path: &Path, folder: &Path) -> String {
    let own = rustix::process::geteuid().as_raw();
    if std::fs::metadata(path).is_ok_and(|found| found.uid() == own) {
        return format!("`chmod u+rwX {}`", shell_word(path));
    }
    let user = user_name(own);
    format!(
        "run mailq as the owner, or give the files to this user: `chown -R {user} {}`",
        shell_word(&existing(folder))
    )
}
