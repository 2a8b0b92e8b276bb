//! The flags of every command, and how a command loads its settings.

use super::failure::Failure;
use super::terminal;
use crate::config::{self, Flags, Loaded, ProjectKeys, Variables};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Global {
    /// Project file [default: CONFIG_FILE, else the nearest mailq.toml at or above the campaign's folder or the working directory]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = ProjectKeys::queue().flag_help(),
        help_heading = "Global options"
    )]
    pub queue: Option<String>,

    /// Property of librdkafka, which overrides `[kafka.properties]`; may be repeated [default: none]
    #[arg(
        short = 'X',
        global = true,
        value_name = "KEY=VALUE",
        help_heading = "Global options"
    )]
    pub property: Vec<String>,

    /// Print one JSON document on stdout
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,

    /// Print only warnings and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,

    /// Log more: -v progress, -vv SMTP conversations, -vvv everything [default: warnings]
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,

    /// Print each setting with its source, secrets hidden, and exit
    #[arg(long, global = true, help_heading = "Global options")]
    pub print_config: bool,
}

impl Global {
    /// Loads the project and its settings. `campaign`: the file that the command is about. `flags`: its own flags.
    pub fn load(&self, campaign: Option<&Path>, flags: Flags) -> Result<Loaded, Failure> {
        let flags = flags
            .set(ProjectKeys::queue(), self.queue.as_ref())
            .properties(&self.property);
        let variables = Variables::of_process();
        let loaded = config::load(campaign, self.config.as_deref(), &flags, variables)?;
        Ok(loaded)
    }

    /// Prints a line for people, unless `-q` was given.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            terminal::note(text);
        }
    }
}
