//! A project as a command works on it: its settings, its queue and its key.

mod connect_options;
mod host;
pub mod kafka;
pub mod permissions;
mod runtime;
mod topics;

pub use connect_options::ConnectOptions;
pub use host::{host_name, worker_name};
pub use runtime::block_on;
pub use topics::required_topics;

use super::{Failure, Global, terminal};
use crate::clock::SystemClock;
use crate::config::{Loaded, QueueUrl, load_or_create_key};
use crate::domain::project_key::ProjectKey;
use crate::engine::policy::RetrySchedule;
use crate::queue::Queue;
use crate::queue::sqlite::{OpenOptions, SqliteQueue};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// A queue that takes longer to open is mentioned, because the command is silent until then.
const SLOW_OPEN: Duration = Duration::from_secs(2);

/// A project whose queue is open.
pub struct OpenProject {
    pub loaded: Loaded,
    pub queue: Rc<dyn Queue>,
    pub key: ProjectKey,
    pub clock: Rc<SystemClock>,
}

impl OpenProject {
    /// For commands that need an existing queue.
    pub fn open(loaded: Loaded) -> Result<OpenProject, Failure> {
        OpenProject::open_with(loaded, &ConnectOptions::default())
    }

    pub fn open_with(
        loaded: Loaded,
        connect_options: &ConnectOptions,
    ) -> Result<OpenProject, Failure> {
        match loaded.settings.queue.clone() {
            QueueUrl::Sqlite(path) if !SqliteQueue::exists(&path) => {
                permissions::check(&path, &loaded.settings.key_file)?;
                let what = format!("no queue here (`sqlite:{}`)", path.display());
                Err(Failure::usage(what).with_hint(
                    "`mailq init` creates a project; `mailq enqueue` adds a campaign to its queue",
                ))
            }
            QueueUrl::Sqlite(path) => OpenProject::open_file(loaded, &path, false, connect_options),
            QueueUrl::Kafka(_) => {
                let queue = kafka::open(&loaded, connect_options)?;
                let key = kafka::key(&loaded, queue.as_ref())?;
                Ok(OpenProject::new(loaded, queue, key))
            }
        }
    }

    pub fn has_queue(loaded: &Loaded) -> bool {
        match &loaded.settings.queue {
            QueueUrl::Sqlite(path) => SqliteQueue::exists(path),
            QueueUrl::Kafka(_) => true,
        }
    }

    /// For commands that add to the queue. A new file is announced in one line. Topics of a cluster are never created:
    /// `mailq topics init` does that.
    pub fn open_or_create(
        loaded: Loaded,
        connect_options: &ConnectOptions,
        global: &Global,
    ) -> Result<OpenProject, Failure> {
        let QueueUrl::Sqlite(path) = loaded.settings.queue.clone() else {
            return OpenProject::open_with(loaded, connect_options);
        };
        let is_new = !SqliteQueue::exists(&path);
        let project = OpenProject::open_file(loaded, &path, true, connect_options)?;
        if is_new {
            global.say(format!("created queue `sqlite:{}`", path.display()));
        }
        Ok(project)
    }

    /// For `init`, which reports what it has created itself.
    pub fn create(loaded: Loaded, path: &Path) -> Result<OpenProject, Failure> {
        OpenProject::open_file(loaded, path, true, &ConnectOptions::default())
    }

    fn open_file(
        loaded: Loaded,
        path: &Path,
        create: bool,
        connect_options: &ConnectOptions,
    ) -> Result<OpenProject, Failure> {
        permissions::check(path, &loaded.settings.key_file)?;
        // A new key would not fit a queue that was created with another one.
        let has_fingerprint =
            SqliteQueue::exists(path) && SqliteQueue::fingerprint(path)?.is_some();
        let key = load_or_create_key(&loaded.settings.key_file, create && !has_fingerprint)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::usage(format!(
                    "cannot create folder `{}`: {error}",
                    folder.display()
                ))
            })?;
        }
        let options = OpenOptions {
            create,
            lease: loaded.settings.lease,
            open_wait: connect_options.open_wait(),
            write_wait: connect_options.write_wait(),
            ..OpenOptions::new(key.fingerprint())
        };
        let notice = notice_if_slow(path);
        let queue = SqliteQueue::open(path, options)?;
        drop(notice);
        Ok(OpenProject::new(loaded, queue, key))
    }

    pub fn new(loaded: Loaded, queue: Rc<dyn Queue>, key: ProjectKey) -> OpenProject {
        OpenProject {
            queue,
            key,
            loaded,
            clock: Rc::new(SystemClock),
        }
    }

    /// A folder of this project for lock files.
    pub fn folder(&self, name: &str) -> PathBuf {
        match &self.loaded.settings.queue {
            QueueUrl::Sqlite(queue) => queue.with_file_name(name),
            QueueUrl::Kafka(_) => self.loaded.settings.key_file.with_file_name(name),
        }
    }

    pub fn schedule(&self) -> RetrySchedule {
        self.loaded.settings.retry.clone()
    }

    /// Requires all topics. An embedded queue creates missing ones; on a cluster that is up to its operators.
    pub async fn require_topics(&self) -> Result<(), Failure> {
        let wanted = required_topics(&self.schedule());
        if matches!(self.loaded.settings.queue, QueueUrl::Sqlite(_)) {
            return Ok(self.queue.create_topics(&wanted).await?);
        }
        let there = self.queue.topics().await?;
        match wanted.iter().find(|topic| !there.contains(topic)) {
            None => Ok(()),
            Some(missing) => Err(topics::missing(
                *missing,
                &self.loaded.settings.env,
                self.queue.as_ref(),
            )),
        }
    }
}

/// Says that the queue is waited for, unless the sender is dropped soon. Opening blocks, so a thread has to say it.
fn notice_if_slow(path: &Path) -> Sender<()> {
    let (sender, opened) = channel();
    let text = format!(
        "waiting for queue `sqlite:{}`: another process keeps it locked",
        path.display()
    );
    let work = move || {
        if opened.recv_timeout(SLOW_OPEN) == Err(RecvTimeoutError::Timeout) {
            terminal::note(text);
        }
    };
    // Without a thread it is not said. Opening needs threads too, and names the limit.
    let _ = std::thread::Builder::new().spawn(work);
    sender
}
