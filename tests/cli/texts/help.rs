//! `--help` of every command, and the exit codes of the manual.

use super::heading;
use clap::{Command, CommandFactory};
use mailq::commands::Exit;

const WIDTH: usize = 100;
const GLOBAL: &str = "\nGlobal options:\n";

pub fn texts() -> String {
    let mut root = mailq::cli::Cli::command();
    root.build();
    let mut text = String::new();
    add("mailq", &root, &mut text);
    text += &heading("Exit codes");
    for (exit, meaning) in Exit::ALL {
        text += &format!("{:>3}  {meaning}\n", exit as u8);
    }
    text
}

fn add(name: &str, command: &Command, text: &mut String) {
    *text += &heading(&format!("{name} --help"));
    let help = command.clone().term_width(WIDTH).render_long_help();
    let help = help.to_string();
    let lines = help.lines().map(str::trim_end);
    let help: String = lines.flat_map(|line| [line, "\n"]).collect();
    let (own, global) = help.split_once(GLOBAL).expect("global options");
    *text += own;
    // They are the same for every command, so they are shown once.
    match text.contains(GLOBAL) {
        false => *text += &[GLOBAL, global].concat(),
        true => assert!(text.contains(global), "{name}: other global options"),
    }
    for verb in command.get_subcommands() {
        add(&format!("{name} {}", verb.get_name()), verb, text);
    }
}
