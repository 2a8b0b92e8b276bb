//! Rules for every flag of every command.

use super::*;
use clap::{Arg, CommandFactory, Parser};
use std::collections::BTreeMap;

/// Every command with its path, `mailq dlq list`.
fn commands() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    let mut waiting = vec![("mailq".to_string(), root)];
    while let Some((path, command)) = waiting.pop() {
        for verb in command.get_subcommands() {
            waiting.push((format!("{path} {}", verb.get_name()), verb.clone()));
        }
        found.push((path, command));
    }
    found
}

fn own_arguments(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
}

#[test]
fn the_tree_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_flag_has_help() {
    for (path, command) in commands() {
        assert!(command.get_about().is_some(), "{path} has no help");
        for argument in own_arguments(&command) {
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !help.is_empty(),
                "{path}: {} has no help",
                argument.get_id()
            );
            assert!(!help.ends_with('.'), "{path}: `{help}`");
        }
    }
}

#[test]
fn every_value_has_a_name_and_shows_its_default() {
    for (path, command) in commands() {
        for argument in own_arguments(&command) {
            if !argument.get_action().takes_values() {
                continue;
            }
            let id = argument.get_id();
            let names = argument.get_value_names().unwrap_or_default();
            assert!(!names.is_empty(), "{path}: {id} does not name its value");
            let upper = |name: &str| name.chars().next().is_some_and(char::is_uppercase);
            assert!(
                names.iter().all(|name| upper(name)),
                "{path}: {id}: {names:?}"
            );
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let said = help.contains("[default: ") || !argument.get_default_values().is_empty();
            let exempt = argument.is_required_set();
            assert!(said || exempt, "{path}: {id} does not say its default");
        }
    }
}

#[test]
fn no_flag_is_declared_twice() {
    for (path, command) in commands() {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for argument in command.get_arguments() {
            let short = argument.get_short().map(|letter| format!("-{letter}"));
            let long = argument.get_long().map(|name| format!("--{name}"));
            for name in short.into_iter().chain(long) {
                let other = seen.insert(name.clone(), argument.get_id().to_string());
                assert_eq!(other, None, "{path}: {name}");
            }
        }
    }
}

#[test]
fn accepts_global_flags_anywhere() {
    for line in [
        "mailq --json --queue sqlite:q.db send --drain",
        "mailq send --drain --json --queue sqlite:q.db",
        "mailq send --json --drain -vv --queue=sqlite:q.db",
        "mailq dlq list --json --queue sqlite:q.db",
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.global.json, "{line}");
        assert_eq!(cli.global.queue.as_deref(), Some("sqlite:q.db"), "{line}");
    }
    assert!(Cli::try_parse_from(["mailq"]).unwrap().command.is_none());
}
