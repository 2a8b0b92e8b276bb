//! `mailq init`: creates a project that works at once. It adds what is missing and overwrites nothing.

mod files;
mod from_list;
mod other_program;

use super::project::{self, OpenProject};
use super::{Exit, Failure, Global, output};
use crate::config::{self, Flags, Loaded, PROJECT_FILE, Project, ProjectKeys, QueueUrl, Variables};
use crate::domain::shell_word::shell_word;
use files::{Files, unwritable};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Create a project that works at once: settings, key, queue and a sample campaign
///
/// Existing files are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Project folder [default: the project around the working directory, else the working directory]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// Create a campaign and templates with the columns of this list [default: the sample campaign `welcome`]
    #[arg(long, value_name = "LIST.csv")]
    pub from: Option<PathBuf>,
}

/// The sample files of this repository.
const WELCOME: [(&str, &str); 4] = [
    (
        "campaigns/welcome.toml",
        include_str!("../../campaigns/welcome.toml"),
    ),
    (
        "campaigns/welcome.csv",
        include_str!("../../campaigns/welcome.csv"),
    ),
    (
        "templates/welcome.html",
        include_str!("../../templates/welcome.html"),
    ),
    (
        "templates/welcome.txt",
        include_str!("../../templates/welcome.txt"),
    ),
];

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let root = root(args, global)?;
    let list = args.from.as_deref().map(from_list::read).transpose()?;
    let mut files = Files::default();
    files.write(&root.join(PROJECT_FILE), &config::project_sample())?;
    files.write(&root.join(".mailq/.gitignore"), "*\n")?;
    let campaign = match list {
        Some(list) => list.write(&root, &mut files)?,
        None => {
            for (name, text) in WELCOME {
                files.write(&root.join(name), text)?;
            }
            root.join("campaigns/welcome.toml")
        }
    };
    let loaded = config::load(
        None,
        Some(&root.join(PROJECT_FILE)),
        &Flags::default()
            .set(ProjectKeys::queue(), global.queue.as_ref())
            .properties(&global.property),
        Variables::of_process(),
    )?;
    make_queue(loaded, &mut files)?;
    print(&root, &campaign, &files, global)
}

/// The given folder, else the project around the working directory, so that no project is created inside another.
fn root(args: &Args, global: &Global) -> Result<PathBuf, Failure> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => {
            let config = global.config.as_deref();
            Project::discover(None, config, &Variables::of_process())?.root
        }
    };
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::canonicalize(&folder))
        .map_err(|error| unwritable(&folder, &error))
}

/// Creates the key and the queue, which stores the fingerprint of the key.
fn make_queue(loaded: Loaded, files: &mut Files) -> Result<(), Failure> {
    let key = loaded.settings.key_file.clone();
    // `mailq topics init` creates the topics and the key of a cluster.
    let QueueUrl::Sqlite(queue) = loaded.settings.queue.clone() else {
        return Ok(());
    };
    let (has_key, has_queue) = (key.exists(), queue.exists());
    let project = OpenProject::create(loaded, &queue)?;
    project::block_on(project.require_topics())?;
    files.note(&key, has_key);
    files.note(&queue, has_queue);
    Ok(())
}

fn print(root: &Path, campaign: &Path, files: &Files, global: &Global) -> Result<Exit, Failure> {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let here = here.unwrap_or_default();
    let short = |path: &Path| {
        let path = path.strip_prefix(&here).unwrap_or(path);
        path.display().to_string()
    };
    let next = format!("mailq run {}", shell_word(Path::new(&short(campaign))));
    if global.json {
        let names = |paths: &[PathBuf]| paths.iter().map(|path| short(path)).collect::<Vec<_>>();
        output::json(&json!({
            "project": root.display().to_string(),
            "created": names(&files.created),
            "kept": names(&files.kept),
            "next": next,
        }))?;
        return Ok(Exit::Done);
    }
    global.say(format!("project {}", root.display()));
    for (paths, verb) in [(&files.created, "created"), (&files.kept, "kept   ")] {
        for path in paths {
            global.say(format!("  {verb} {}", short(path)));
        }
    }
    if let Some(warning) = other_program::warning() {
        global.say(warning);
    }
    global.say(format!(
        "next: `{next}` sends it to the relay in mailq.toml, at first to files in outbox/"
    ));
    Ok(Exit::Done)
}
