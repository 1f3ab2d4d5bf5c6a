//! The commands of the program, from its definition.

use clap::Command as Definition;

/// Collects the subcommands of a command, each with its parents, for example `outbox list`.
fn commands(definition: &Definition, parents: &str, all: &mut Vec<String>) {
    for command in definition.get_subcommands() {
        let path = format!("{parents} {}", command.get_name());
        all.push(path.trim().to_owned());
        commands(command, &path, all);
    }
}

/// Returns every command, for example `outbox list`; the program itself is the empty string.
pub fn every_command() -> Vec<String> {
    let mut all = vec![String::new()];
    commands(collective_insights::cli::definition(), "", &mut all);
    assert!(all.len() > 12, "{all:?}");
    all
}

/// Returns every command that runs a source, such as `crowdstrike`.
pub fn sources() -> Vec<String> {
    let definition = collective_insights::cli::definition();
    let runs = |command: &&Definition| {
        command.get_arguments().any(|option| option.get_long() == Some("rf-api-key"))
    };
    definition.get_subcommands().filter(runs).map(|command| command.get_name().to_owned()).collect()
}
