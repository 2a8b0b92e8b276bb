//! The key of the project on disk: created once, mode 0600, the same on every host.

use super::error::ConfigError;
use super::trust;
use crate::bounded_file;
use crate::domain::digest::hex;
use crate::domain::project_key::ProjectKey;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A key with white space around it.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Reads the key. If there is none and `may_create` is set, creates one: pass `true` only if no queue has the
/// fingerprint of another key. Two processes that create a key at the same time both return the same one. Errors: the key
/// is missing, damaged, cannot be written, or everybody may write to it.
pub fn load_or_create_key(path: &Path, may_create: bool) -> Result<ProjectKey, ConfigError> {
    trust::check_mode(path)?;
    match bounded_file::read(path, MAX_KEY_FILE_BYTES) {
        Ok(bytes) => decode(path, &bytes),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ConfigError::Unreadable {
                path: path.to_path_buf(),
                why: error.to_string(),
            })
        }
        Err(_) if !may_create => Err(ConfigError::NoKey(path.to_path_buf())),
        Err(_) => {
            create(path).map_err(|error| ConfigError::Unwritable {
                path: path.to_path_buf(),
                why: error.to_string(),
            })?;
            load_or_create_key(path, false)
        }
    }
}

// Written under another name first and linked into place, so that no process reads half a key. A link, unlike a rename,
// fails if another process was first.
fn create(path: &Path) -> std::io::Result<()> {
    let mut secret = [0; ProjectKey::BYTES];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| std::io::Error::other("the operating system provides no random numbers"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".key-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", hex(&secret))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }?;
    std::fs::File::open(folder)?.sync_all()
}

/// Reads 32 raw bytes, or 64 hexadecimal digits with white space around them.
fn decode(path: &Path, bytes: &[u8]) -> Result<ProjectKey, ConfigError> {
    let wrong = || ConfigError::BadKeyFile {
        path: path.to_path_buf(),
        why: format!(
            "{} bytes that are neither {} raw ones nor {} hexadecimal digits",
            bytes.len(),
            ProjectKey::BYTES,
            ProjectKey::BYTES * 2
        ),
    };
    if let Ok(raw) = <[u8; ProjectKey::BYTES]>::try_from(bytes) {
        return Ok(ProjectKey::new(&raw));
    }
    let digits = bytes.trim_ascii();
    if digits.len() != ProjectKey::BYTES * 2 {
        return Err(wrong());
    }
    let mut secret = [0; ProjectKey::BYTES];
    for (byte, pair) in secret.iter_mut().zip(digits.chunks(2)) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .ok_or_else(wrong)?;
    }
    Ok(ProjectKey::new(&secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn creates_a_private_key_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".mailq/key");
        assert!(matches!(
            load_or_create_key(&path, false),
            Err(ConfigError::NoKey(_))
        ));
        let made = load_or_create_key(&path, true).unwrap();
        let again = load_or_create_key(&path, true).unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "the draft is gone");
    }

    #[test]
    fn reads_both_forms_and_refuses_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret: [u8; 32] = std::array::from_fn(|i| i as u8 + 200);
        std::fs::write(&path, secret).unwrap();
        let raw = load_or_create_key(&path, false).unwrap();
        std::fs::write(&path, format!(" {}\n", hex(&secret).to_uppercase())).unwrap();
        let hexadecimal = load_or_create_key(&path, false).unwrap();
        assert_eq!(raw.fingerprint(), hexadecimal.fingerprint());
        for damage in [
            "",
            "abc",
            &"g".repeat(64),
            &"a".repeat(63),
            &"+1".repeat(32),
        ] {
            std::fs::write(&path, damage).unwrap();
            assert!(matches!(
                load_or_create_key(&path, true),
                Err(ConfigError::BadKeyFile { .. })
            ));
        }
    }
}
