//! `mailq completions`: tab completion for a shell, from the same definitions as `--help`.

use super::{Exit, Failure, Global, output};
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `tree` is the whole command line, which only the floor above knows.
pub fn run(args: &Args, _global: &Global, mut tree: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree, "mailq", &mut script);
    output::raw(&script)?;
    Ok(Exit::Done)
}
