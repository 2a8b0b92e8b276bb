//! A command's place of work: the project's queue and key, and the runtime that everything asynchronous runs in.

use super::{Failure, Global};
use crate::clock::SystemClock;
use crate::config::{Loaded, QueueUrl, load_or_create_key};
use crate::domain::project_key::ProjectKey;
use crate::domain::topic::Topic;
use crate::engine::policy::{RetrySchedule, Schedule};
use crate::queue::sqlite::{OpenOptions, PARTITIONS, SqliteQueue};
use crate::queue::{Queue, QueueError};
use std::future::Future;
use std::rc::Rc;
use tokio::task::LocalSet;

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
        let QueueUrl::Sqlite(path) = &loaded.settings.queue;
        if !SqliteQueue::exists(path) {
            let what = format!("no queue here (`sqlite:{}`)", path.display());
            return Err(Failure::usage(what)
                .with_hint("`mailq init` makes a project; `mailq enqueue` puts a campaign into its queue"));
        }
        Workplace::open(loaded, false)
    }

    /// For commands that put something into the queue; one that is created is announced in one line.
    pub fn existing_or_new(loaded: Loaded, global: &Global) -> Result<Workplace, Failure> {
        let QueueUrl::Sqlite(path) = &loaded.settings.queue;
        let is_new = !SqliteQueue::exists(path);
        let shown = path.display().to_string();
        let place = Workplace::open(loaded, true)?;
        if is_new {
            global.say(format!("created queue `sqlite:{shown}`"));
        }
        Ok(place)
    }

    fn open(loaded: Loaded, create: bool) -> Result<Workplace, Failure> {
        let QueueUrl::Sqlite(path) = &loaded.settings.queue;
        // A key is made only where no queue remembers another one.
        let has_fingerprint = SqliteQueue::exists(path) && SqliteQueue::fingerprint(path)?.is_some();
        let key = load_or_create_key(&loaded.settings.key_file, create && !has_fingerprint)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::usage(format!("cannot make folder `{}`: {error}", folder.display()))
            })?;
        }
        let options = OpenOptions {
            create,
            key_fingerprint: key.fingerprint(),
            partitions: PARTITIONS,
            lease: loaded.settings.lease,
        };
        let queue = SqliteQueue::open(path, options)?;
        Ok(Workplace { queue, key, loaded, clock: Rc::new(SystemClock) })
    }

    pub fn schedule(&self) -> RetrySchedule {
        self.loaded.settings.retry.clone()
    }

    /// Makes what is missing of the topics: an embedded queue needs nobody's permission for that.
    pub async fn create_topics(&self) -> Result<(), QueueError> {
        self.queue.create_topics(&topics(&self.schedule())).await
    }
}

/// The topics that a project with these retries uses.
pub fn topics(retry: &RetrySchedule) -> Vec<Topic> {
    let fixed = [Topic::Send, Topic::Dlq, Topic::Event, Topic::Campaign, Topic::Suppression];
    fixed.into_iter().chain(Schedule::from(retry).tiers().into_iter().map(Topic::Retry)).collect()
}

/// Runs a command's asynchronous part to its end, on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::try_later(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, work);
    // Threads that wait for a name server must not hold up the end.
    runtime.shutdown_background();
    result
}

/// `host/pid/start`: unique among the living, and without the separators of commit strings.
pub fn worker_name(instance: Option<&str>) -> String {
    let uname = rustix::system::uname();
    let host: String = uname.nodename().to_string_lossy().chars().take(48).collect();
    let text = match instance {
        Some(id) => format!("{host}/{id}"),
        None => format!("{host}/{}/{:04x}", std::process::id(), fastrand::u16(..)),
    };
    text.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, ';' | ',') { c } else { '_' }).collect()
}

pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
