//! `mailq topics`: creates and describes the topics of the queue.

use super::output::{Align, Table};
use super::project::{self, ConnectOptions, OpenProject, required_topics};
use super::{Exit, Failure, Global, output, terminal};
use crate::config::{Flags, Loaded, QueueUrl};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, TopicState};
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;

/// Create or describe the topics of the queue
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Create what is missing: topics, the first offset of each partition, the project key
    ///
    /// Run it once for each cluster, and again after a change of `[retry]`. Existing topics are not changed.
    Init(InitArgs),
    /// Show the topics, and settings that differ from what mailq needs
    Describe,
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct InitArgs {
    /// Print what would be created, create nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let loaded = global.load(None, Flags::default())?;
    match &args.verb {
        Verb::Init(args) => init(args, loaded, global),
        Verb::Describe => describe(loaded, global),
    }
}

fn connect_options() -> ConnectOptions {
    ConnectOptions {
        role: "topics",
        instance_id: None,
        queue_timeout: Some(Duration::from_secs(60)),
        repeats: false,
    }
}

fn queue(loaded: &Loaded) -> Result<Rc<dyn Queue>, Failure> {
    match &loaded.settings.queue {
        QueueUrl::Sqlite(_) => Ok(OpenProject::open(loaded.clone())?.queue),
        QueueUrl::Kafka(_) => project::kafka::open(loaded, &connect_options()),
    }
}

fn init(args: &InitArgs, loaded: Loaded, global: &Global) -> Result<Exit, Failure> {
    if let QueueUrl::Sqlite(_) = &loaded.settings.queue {
        if !args.dry_run {
            let project = OpenProject::open_or_create(loaded.clone(), &connect_options(), global)?;
            project::block_on(project.require_topics())?;
        }
        global.say("an embedded queue creates its topics itself: nothing to do");
        return print_created(&loaded, &[], args, global);
    }
    let queue = queue(&loaded)?;
    let wanted = required_topics(&loaded.settings.retry);
    project::block_on(async {
        let there = queue.topics().await?;
        let missing: Vec<Topic> = wanted
            .iter()
            .copied()
            .filter(|topic| !there.contains(topic))
            .collect();
        if !args.dry_run {
            queue.create_topics(&wanted).await?;
            project::kafka::claim(&loaded, queue.as_ref()).await?;
        }
        print_created(&loaded, &missing, args, global)
    })
}

fn print_created(
    loaded: &Loaded,
    missing: &[Topic],
    args: &InitArgs,
    global: &Global,
) -> Result<Exit, Failure> {
    let env = &loaded.settings.env;
    let names: Vec<String> = missing.iter().map(|topic| topic.name(env)).collect();
    if global.json {
        output::json(&json!({
            "queue": loaded.settings.queue.to_string(),
            "created": names,
            "dry_run": args.dry_run,
        }))?;
        return Ok(Exit::Done);
    }
    let verb = if args.dry_run {
        "would create"
    } else {
        "created"
    };
    for name in &names {
        output::line(format!("{verb} {name}"))?;
    }
    if names.is_empty() {
        global.say("all topics exist");
    }
    Ok(Exit::Done)
}

fn describe(loaded: Loaded, global: &Global) -> Result<Exit, Failure> {
    let queue = queue(&loaded)?;
    let wanted = required_topics(&loaded.settings.retry);
    let (states, missing) = project::block_on(async {
        let there = queue.topics().await?;
        let missing: Vec<Topic> = wanted
            .into_iter()
            .filter(|topic| !there.contains(topic))
            .collect();
        let mut states = Vec::new();
        for state in queue.describe_topics().await? {
            let records = records(queue.as_ref(), &state).await?;
            states.push((state, records));
        }
        Ok((states, missing))
    })?;
    let env = &loaded.settings.env;
    let missing: Vec<String> = missing.iter().map(|topic| topic.name(env)).collect();
    let drifts = states.iter().any(|(state, _)| !state.drift.is_empty());
    match global.json {
        true => output::json(&as_json(&loaded, &states, &missing))?,
        false => print(&loaded, &states, &missing, queue.as_ref())?,
    }
    Ok(match missing.is_empty() && !drifts {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    })
}

/// Offsets between low watermark and log end, including compacted ones.
async fn records(queue: &dyn Queue, state: &TopicState) -> Result<u64, Failure> {
    let mut count = 0;
    for partition in 0..state.partitions {
        let at = TopicPartition::new(state.topic, partition);
        let bounds = queue.bounds(at).await?;
        count += bounds.end.saturating_sub(bounds.low_watermark);
    }
    Ok(count)
}

fn as_json(loaded: &Loaded, states: &[(TopicState, u64)], missing: &[String]) -> serde_json::Value {
    let env = &loaded.settings.env;
    let topics: Vec<_> = states
        .iter()
        .map(|(state, records)| {
            let drift: Vec<_> = state
                .drift
                .iter()
                .map(
                    |drift| json!({"key": drift.key, "wanted": drift.wanted, "found": drift.found}),
                )
                .collect();
            json!({
                "topic": state.topic.name(env),
                "partitions": state.partitions,
                "replication": state.replication,
                "records": records,
                "drift": drift,
            })
        })
        .collect();
    json!({"queue": loaded.settings.queue.to_string(), "topics": topics, "missing": missing})
}

fn print(
    loaded: &Loaded,
    states: &[(TopicState, u64)],
    missing: &[String],
    queue: &dyn Queue,
) -> Result<(), Failure> {
    let env = &loaded.settings.env;
    output::lines(&output::fields(&[("queue", queue.url())]))?;
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("REPLICAS", Align::Right),
        ("RECORDS", Align::Right),
    ]);
    for (state, records) in states {
        table.row(vec![
            state.topic.name(env),
            state.partitions.to_string(),
            state.replication.to_string(),
            records.to_string(),
        ]);
    }
    output::lines(&table.lines())?;
    for name in missing {
        terminal::note(format!(
            "warning: {name} is missing: `mailq topics init` creates it"
        ));
    }
    for (state, _) in states {
        for drift in &state.drift {
            terminal::note(format!(
                "warning: {}: `{}` is `{}`, but mailq needs `{}`",
                state.topic.name(env),
                drift.key,
                drift.found,
                drift.wanted
            ));
        }
    }
    Ok(())
}
