//! `mailq manual`: writes the manual pages from the definitions of `--help` and of the configuration keys.

use super::text::counted;
use super::{Exit, Failure, Global, output};
use crate::config;
use clap_mangen::Man;
use std::path::{Path, PathBuf};

/// Write the manual pages: mailq(1), mailq-COMMAND(1), mailq.toml(5)
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Target folder; created if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `tree` is the whole command line, which only the floor above knows.
pub fn run(args: &Args, global: &Global, mut tree: clap::Command) -> Result<Exit, Failure> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    tree.build();
    let mut names = Vec::new();
    pages(folder, tree, "mailq", &mut names)?;
    names.push(write(
        folder,
        "mailq.toml.5",
        config::manual_page().as_bytes(),
    )?);
    if global.json {
        output::json(&names)?;
    } else {
        global.say(format!(
            "wrote {} to {}",
            counted(names.len() as u64, "page"),
            folder.display()
        ));
    }
    Ok(Exit::Done)
}

/// A command's page and those of the commands below it: `mailq-dlq-list.1`.
fn pages(
    folder: &Path,
    command: clap::Command,
    name: &str,
    names: &mut Vec<String>,
) -> Result<(), Failure> {
    for verb in command.get_subcommands() {
        let below = format!("{name}-{}", verb.get_name());
        pages(folder, verb.clone(), &below, names)?;
    }
    names.push(page(folder, command, name)?);
    Ok(())
}

/// The exit codes belong to every page of a command.
fn page(folder: &Path, command: clap::Command, name: &str) -> Result<String, Failure> {
    let command = command.display_name(name.to_string());
    let mut text = Vec::new();
    Man::new(command)
        .title(name.to_string())
        .render(&mut text)
        .map_err(|error| unwritable(folder, &error))?;
    text.extend_from_slice(b".SH \"EXIT STATUS\"\n");
    for (exit, meaning) in Exit::ALL {
        let meaning = meaning.replace('`', "");
        text.extend_from_slice(format!(".TP\n\\fB{}\\fR\n{meaning}\n", exit as u8).as_bytes());
    }
    write(folder, &format!("{name}.1"), &text)
}

fn write(folder: &Path, name: &str, text: &[u8]) -> Result<String, Failure> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
    Ok(name.to_string())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`", path.display())).caused_by(error)
}
