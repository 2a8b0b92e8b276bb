//! A project as a command works on it: its settings, its queue and its key.

mod host;
pub mod kafka;
mod opening;
mod runtime;
mod topics;

pub use host::{host_name, worker_name};
pub use opening::Opening;
pub use runtime::block_on;
pub use topics::required_topics;

use super::{Failure, Global};
use crate::clock::SystemClock;
use crate::config::{Loaded, QueueUrl, load_or_create_key};
use crate::domain::project_key::ProjectKey;
use crate::engine::policy::RetrySchedule;
use crate::queue::Queue;
use crate::queue::sqlite::{OpenOptions, PARTITIONS, SqliteQueue};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The queue of a project, open.
pub struct Workplace {
    pub loaded: Loaded,
    pub queue: Rc<dyn Queue>,
    pub key: ProjectKey,
    pub clock: Rc<SystemClock>,
}

impl Workplace {
    /// For commands that look at or work on a queue: there must be one.
    pub fn existing(loaded: Loaded) -> Result<Workplace, Failure> {
        Workplace::existing_for(loaded, &Opening::default())
    }

    pub fn existing_for(loaded: Loaded, opening: &Opening) -> Result<Workplace, Failure> {
        match loaded.settings.queue.clone() {
            QueueUrl::Sqlite(path) if !SqliteQueue::exists(&path) => {
                let what = format!("no queue here (`sqlite:{}`)", path.display());
                Err(Failure::usage(what).with_hint(
                    "`mailq init` makes a project; `mailq enqueue` puts a campaign into its queue",
                ))
            }
            QueueUrl::Sqlite(path) => Workplace::open_file(loaded, &path, false),
            QueueUrl::Kafka(_) => {
                let queue = kafka::open(&loaded, opening)?;
                let key = kafka::key(&loaded, queue.as_ref())?;
                Ok(Workplace::of(loaded, queue, key))
            }
        }
    }

    pub fn is_there(loaded: &Loaded) -> bool {
        match &loaded.settings.queue {
            QueueUrl::Sqlite(path) => SqliteQueue::exists(path),
            QueueUrl::Kafka(_) => true,
        }
    }

    /// For commands that put something into the queue; a file that is created is announced in one line. On a cluster
    /// nothing is: that is for `mailq topics init`.
    pub fn existing_or_new(
        loaded: Loaded,
        opening: &Opening,
        global: &Global,
    ) -> Result<Workplace, Failure> {
        let QueueUrl::Sqlite(path) = loaded.settings.queue.clone() else {
            return Workplace::existing_for(loaded, opening);
        };
        let is_new = !SqliteQueue::exists(&path);
        let place = Workplace::open_file(loaded, &path, true)?;
        if is_new {
            global.say(format!("created queue `sqlite:{}`", path.display()));
        }
        Ok(place)
    }

    /// For `init`, which tells itself what it has made.
    pub fn create(loaded: Loaded, path: &Path) -> Result<Workplace, Failure> {
        Workplace::open_file(loaded, path, true)
    }

    fn open_file(loaded: Loaded, path: &Path, create: bool) -> Result<Workplace, Failure> {
        // A key is made only where no queue remembers another one.
        let has_fingerprint =
            SqliteQueue::exists(path) && SqliteQueue::fingerprint(path)?.is_some();
        let key = load_or_create_key(&loaded.settings.key_file, create && !has_fingerprint)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::usage(format!(
                    "cannot make folder `{}`: {error}",
                    folder.display()
                ))
            })?;
        }
        let options = OpenOptions {
            create,
            key_fingerprint: key.fingerprint(),
            partitions: PARTITIONS,
            lease: loaded.settings.lease,
        };
        let queue = SqliteQueue::open(path, options)?;
        Ok(Workplace::of(loaded, queue, key))
    }

    pub fn of(loaded: Loaded, queue: Rc<dyn Queue>, key: ProjectKey) -> Workplace {
        Workplace {
            queue,
            key,
            loaded,
            clock: Rc::new(SystemClock),
        }
    }

    /// A folder of this project for locks and the like.
    pub fn folder(&self, name: &str) -> PathBuf {
        match &self.loaded.settings.queue {
            QueueUrl::Sqlite(queue) => queue.with_file_name(name),
            QueueUrl::Kafka(_) => self.loaded.settings.key_file.with_file_name(name),
        }
    }

    pub fn schedule(&self) -> RetrySchedule {
        self.loaded.settings.retry.clone()
    }

    /// All topics must be there. An embedded queue makes what is missing; a cluster has owners, who decide.
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
