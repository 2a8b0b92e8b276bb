//! Finds another program called `mailq` that comes first in PATH. Postfix, Exim and Sendmail ship one.

use crate::config::Variables;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The warning, if typing `mailq` runs another program than this one.
pub fn warning() -> Option<String> {
    let variables = Variables::of_process();
    let path = OsStr::new(variables.get("PATH")?);
    let own = std::env::current_exe()
        .and_then(std::fs::canonicalize)
        .ok()?;
    let other = other(path, &own)?;
    Some(format!(
        "warning: `mailq` runs `{}`, which is another program: Postfix, Exim and Sendmail ship one of this name\n\
         hint: put the folder of `{}` first in PATH; `type -a mailq` shows all",
        other.display(),
        own.display()
    ))
}

/// The first `mailq` of a PATH, unless it is `own`.
fn other(path: &OsStr, own: &Path) -> Option<PathBuf> {
    let mut found = std::env::split_paths(path).map(|folder| folder.join("mailq"));
    let first = found.find(|file| is_program(file))?;
    let real = std::fs::canonicalize(&first).ok()?;
    (real != own).then_some(first)
}

fn is_program(file: &Path) -> bool {
    let found = std::fs::metadata(file);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_another_program_before_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, mode: u32| {
            let file = folder.path().join(name).join("mailq");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::canonicalize(file).unwrap()
        };
        let own = program("own", 0o755);
        let postfix = program("postfix", 0o755);
        program("text", 0o644);
        let path = |names: &[&str]| {
            std::env::join_paths(names.iter().map(|name| folder.path().join(name))).unwrap()
        };
        assert_eq!(other(&path(&["own", "postfix"]), &own), None);
        assert_eq!(other(&path(&["none", "text"]), &own), None);
        for names in [&["text", "postfix", "own"], &["none", "none", "postfix"]] {
            let found = other(&path(names), &own).unwrap();
            assert_eq!(std::fs::canonicalize(found).unwrap(), postfix);
        }
    }
}
