//! The files of a Maildir, and the thread that writes them. A file gets its name in `new` when it is complete and
//! synced. Files that wait at the same time share one sync.

use crate::private_file;
use crate::smtp::settings::OpenError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Most files that share one sync.
const MAX_FILES: usize = 1_024;
/// For this many files or more, one `syncfs` is cheaper than one `fsync` for each.
const MIN_FILES_FOR_SYNCFS: usize = 8;
/// File systems allow names of 255 bytes; a temporary name is longer than this by a suffix.
const MAX_NAME_BYTES: usize = 180;

enum Job {
    CreateFolders(oneshot::Sender<Result<(), String>>),
    Write {
        name: String,
        bytes: Vec<u8>,
        done: oneshot::Sender<Result<PathBuf, String>>,
    },
}

/// A handle to the writing thread. The thread ends when the handle is dropped.
pub struct Outbox {
    jobs: Sender<Job>,
}

impl Outbox {
    /// Starts the thread. Creates no folder yet.
    pub fn open(path: PathBuf) -> Result<Outbox, OpenError> {
        let (jobs, waiting) = channel();
        let folder = path.clone();
        std::thread::Builder::new()
            .name("outbox".to_string())
            .spawn(move || write_jobs(&folder, &waiting))
            .map_err(|source| OpenError::Outbox { path, source })?;
        Ok(Outbox { jobs })
    }

    /// Errors contain the path and the system's message.
    pub async fn create_folders(&self) -> Result<(), String> {
        let (done, created) = oneshot::channel();
        self.queue(Job::CreateFolders(done));
        created.await.unwrap_or_else(|_| Err(thread_ended()))
    }

    /// Queues a file. The future returns its path when it is synced. An existing file of that name is replaced. Errors
    /// contain the path and the system's message; the file does not exist then.
    pub fn write(
        &self,
        name: String,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<PathBuf, String>> + use<> {
        let (done, written) = oneshot::channel();
        self.queue(Job::Write { name, bytes, done });
        async { written.await.unwrap_or_else(|_| Err(thread_ended())) }
    }

    fn queue(&self, job: Job) {
        // If the thread has ended, the job is dropped with its sender, and the caller gets an error from the receiver.
        let _ = self.jobs.send(job);
    }
}

fn thread_ended() -> String {
    "the thread that writes the outbox ended".to_string()
}

/// The file name of a Message-ID. Other characters than those of usual ids are replaced, so that the name cannot leave
/// the folder or confuse a mail reader; a checksum keeps such names apart.
pub fn file_name(message_id: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+' | '=');
    let name: String = message_id
        .chars()
        .take(MAX_NAME_BYTES)
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    if name == message_id && !name.is_empty() && !name.starts_with('.') {
        return name;
    }
    format!("m-{:08x}-{name}", crc32fast::hash(message_id.as_bytes()))
}

fn write_jobs(folder: &Path, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut files = Vec::new();
        let mut job = Some(first);
        while let Some(next) = job {
            match next {
                // Sending fails if the caller has been dropped, and then nobody needs the result.
                Job::CreateFolders(done) => drop(done.send(create_folders(folder))),
                Job::Write { name, bytes, done } => files.push((name, bytes, done)),
            }
            job = if files.len() < MAX_FILES {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        write_all(folder, files);
    }
}

/// Name, content, and where the result goes.
type QueuedFile = (String, Vec<u8>, oneshot::Sender<Result<PathBuf, String>>);

/// Writes, syncs, renames and syncs the folder, in this order, so that a file in `new` survives a power loss whole.
fn write_all(folder: &Path, files: Vec<QueuedFile>) {
    let syncs_each = files.len() < MIN_FILES_FOR_SYNCFS || !cfg!(target_os = "linux");
    let mut written = Vec::with_capacity(files.len());
    for (number, (name, bytes, done)) in files.into_iter().enumerate() {
        // The same name may be queued twice, and other processes may write here too.
        let temporary = format!("{name}.{}-{number}", std::process::id());
        let temporary = folder.join("tmp").join(temporary);
        match write_one(&temporary, &bytes, syncs_each) {
            Ok(()) => written.push((temporary, folder.join("new").join(name), done)),
            Err(error) => {
                // If the incomplete file cannot be removed, the next one of its name overwrites it.
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
    let mut file = private_file::create(path)?;
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

fn create_folders(folder: &Path) -> Result<(), String> {
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
    async fn writes_whole_files_and_replaces_them_on_resend() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path().join("deep/out")).unwrap();
        outbox.create_folders().await.unwrap();
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
    async fn reports_a_folder_that_cannot_be_created() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let outbox = Outbox::open(file.clone()).unwrap();
        let why = outbox.create_folders().await.unwrap_err();
        assert!(why.contains("could not write"), "{why}");
        assert!(outbox.write("a".into(), Vec::new()).await.is_err());
    }
}
