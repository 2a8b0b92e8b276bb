//! `--help` of every command, and the exit codes of the manual.

use super::heading;
use clap::{Command, CommandFactory};
use mailq::commands::Exit;

const WIDTH: usize = 100;

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
    let lines = help.to_string();
    let lines = lines.lines().map(str::trim_end);
    *text += &lines.flat_map(|line| [line, "\n"]).collect::<String>();
    for verb in command.get_subcommands() {
        add(&format!("{name} {}", verb.get_name()), verb, text);
    }
}
