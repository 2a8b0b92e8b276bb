//! The files of a Maildir and the one thread that writes them: a file is in `new` only when it is whole and on the
//! disk, and whatever waits when the thread looks shares one sync.

use super::settings::OpenError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// The most files that one sync is for.
const MOST_FILES: usize = 1_024;
/// From here on one sync of the file system is cheaper than one for each file.
const FILES_FOR_A_FULL_SYNC: usize = 8;
const LONGEST_NAME_BYTES: usize = 180;

enum Job {
    Make(oneshot::Sender<Result<(), String>>),
    Write {
        name: String,
        bytes: Vec<u8>,
        done: oneshot::Sender<Result<PathBuf, String>>,
    },
}

/// A handle to the writing thread, which ends with it.
pub struct Outbox {
    jobs: Sender<Job>,
}

impl Outbox {
    /// Starts the thread; makes no folder yet.
    pub fn open(path: PathBuf) -> Result<Outbox, OpenError> {
        let (jobs, waiting) = channel();
        let folder = path.clone();
        std::thread::Builder::new()
            .name("outbox".to_string())
            .spawn(move || work(&folder, &waiting))
            .map_err(|source| OpenError::Outbox { path, source })?;
        Ok(Outbox { jobs })
    }

    /// Makes the folders. Errors: the path and the system's words.
    pub async fn make(&self) -> Result<(), String> {
        let (done, made) = oneshot::channel();
        self.ask(Job::Make(done));
        made.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Queues a file at once; the future is ready when it is on the disk, with its path. A file of that name is
    /// replaced. Errors: the path and the system's words; the file is not there then.
    pub fn write(
        &self,
        name: String,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<PathBuf, String>> + use<> {
        let (done, written) = oneshot::channel();
        self.ask(Job::Write { name, bytes, done });
        async { written.await.unwrap_or_else(|_| Err(gone())) }
    }

    fn ask(&self, job: Job) {
        // If the thread is gone, so is the other end of the answer, and that is what the caller sees.
        let _ = self.jobs.send(job);
    }
}

fn gone() -> String {
    "the thread that writes the outbox ended".to_string()
}

/// A file name made of a Message-ID: what could leave the folder or upset a mail reader is replaced, and a checksum
/// then keeps different ids apart.
pub fn file_name(message_id: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+' | '=');
    let name: String = message_id
        .chars()
        .take(LONGEST_NAME_BYTES)
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    if name == message_id && !name.is_empty() && !name.starts_with('.') {
        return name;
    }
    format!("m-{:08x}-{name}", crc32fast::hash(message_id.as_bytes()))
}

fn work(folder: &Path, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut files = Vec::new();
        let mut job = Some(first);
        while let Some(next) = job {
            match next {
                // Nobody listens any more: there is nobody to tell.
                Job::Make(done) => drop(done.send(make(folder))),
                Job::Write { name, bytes, done } => files.push((name, bytes, done)),
            }
            job = if files.len() < MOST_FILES {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        write_all(folder, files);
    }
}

type Waiting = (String, Vec<u8>, oneshot::Sender<Result<PathBuf, String>>);

/// Writes, syncs, renames, syncs the folder, and only then answers.
fn write_all(folder: &Path, files: Vec<Waiting>) {
    let syncs_each = files.len() < FILES_FOR_A_FULL_SYNC || !cfg!(target_os = "linux");
    let mut written = Vec::with_capacity(files.len());
    for (number, (name, bytes, done)) in files.into_iter().enumerate() {
        // Two of one name may wait together, and other processes may write here too.
        let temporary = format!("{name}.{}-{number}", std::process::id());
        let temporary = folder.join("tmp").join(temporary);
        match write_one(&temporary, &bytes, syncs_each) {
            Ok(()) => written.push((temporary, folder.join("new").join(name), done)),
            Err(error) => {
                // Half a file is of no use; if it cannot be removed either, the next of its name overwrites it.
                let _ = fs::remove_file(&temporary);
                drop(done.send(Err(failed(&temporary, &error))));
            }
        }
    }
    let synced = if syncs_each || written.is_empty() {
        Ok(())
    } else {
        sync_all(folder)
    };
    let mut renamed = Vec::with_capacity(written.len());
    for (temporary, path, done) in written {
        let outcome = synced
            .as_ref()
            .map_err(|error| failed(folder, error))
            .and_then(|()| fs::rename(&temporary, &path).map_err(|error| failed(&path, &error)));
        match outcome {
            Ok(()) => renamed.push((path, done)),
            Err(why) => drop(done.send(Err(why))),
        }
    }
    let new = folder.join("new");
    let synced = if renamed.is_empty() {
        Ok(())
    } else {
        sync_folder(&new)
    };
    for (path, done) in renamed {
        let outcome = synced
            .as_ref()
            .map(|()| path)
            .map_err(|error| failed(&new, error));
        drop(done.send(outcome));
    }
}

fn write_one(path: &Path, bytes: &[u8], syncs: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    if syncs { file.sync_all() } else { Ok(()) }
}

#[cfg(target_os = "linux")]
fn sync_all(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn make(folder: &Path) -> Result<(), String> {
    for name in ["tmp", "new", "cur"] {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
    }
    sync_folder(folder).map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("could not write `{}`: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_in_its_folder() {
        assert_eq!(file_name("a.b-1@example.org"), "a.b-1@example.org");
        for hostile in [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "a/b",
            "a:2,S",
            ".hidden",
            "a\0b",
            "\u{fc}",
        ] {
            let name = file_name(hostile);
            assert!(
                name.starts_with("m-") && !name.contains(['/', ':', '\0']),
                "{name}"
            );
        }
        assert!(file_name(&"x".repeat(9_000)).len() < 255);
        assert_ne!(file_name("a/b"), file_name("a:b"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn files_are_whole_and_a_resend_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path().join("deep/out")).unwrap();
        outbox.make().await.unwrap();
        let many: Vec<_> = (0..40)
            .map(|n| outbox.write(format!("{}@x", n % 20), format!("text {n}").into_bytes()))
            .collect();
        for written in many {
            written.await.unwrap();
        }
        let new = folder.path().join("deep/out/new");
        assert_eq!(fs::read_dir(&new).unwrap().count(), 20);
        assert_eq!(fs::read_to_string(new.join("3@x")).unwrap(), "text 23");
        assert_eq!(
            fs::read_dir(folder.path().join("deep/out/tmp"))
                .unwrap()
                .count(),
            0
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_folder_that_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let outbox = Outbox::open(file.clone()).unwrap();
        let why = outbox.make().await.unwrap_err();
        assert!(why.contains("could not write"), "{why}");
        assert!(outbox.write("a".into(), Vec::new()).await.is_err());
    }
}
