//! The flags of the Python scripts: `-ccid ID` and `-ccid=ID`.

use std::ffi::{OsStr, OsString};

use super::source_command::SourceCommand;
use crate::platform::arguments::strip_prefix;

/// Replaces the multi-letter flags of the Python scripts with the new flags, if the subcommand is
/// the matching source, or `check` with that source. (`-k`, `-l` and `--debug` did not change.)
pub(super) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let source_named = |word: &mut OsString| SourceCommand::from_name(word.to_str()?);
    let mut words = arguments.iter_mut().skip(1);
    let source = match words.next() {
        // Options of `check` may precede the source.
        Some(word) if word == "check" => words.find_map(source_named),
        Some(word) => source_named(word),
        None => None,
    };
    let Some(source) = source else {
        return arguments;
    };
    let flags = source.args().0.legacy_flags();
    for argument in words {
        let new = flags.iter().find_map(|(old, flag)| renamed(argument, old, flag));
        if let Some(new) = new {
            *argument = new;
        }
    }
    arguments
}

/// Returns the argument with the new flag, if it has the old one: alone, or with `=` and a value.
fn renamed(argument: &OsStr, old: &str, flag: &str) -> Option<OsString> {
    let value = strip_prefix(argument, old)?;
    if !value.is_empty() && strip_prefix(&value, "=").is_none() {
        return None;
    }
    let mut renamed = OsString::from(flag);
    renamed.push(value);
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let words = translate(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_flag_is_translated_after_its_own_source() {
        assert_eq!(
            translated("ci crowdstrike -k K -ccid I -ccs S"),
            "ci crowdstrike -k K --client-id I --client-secret S"
        );
        assert_eq!(
            translated("ci carbonblack -k K -co O -ch H -cs S -cid A --debug -l INFO -ef F"),
            "ci carbonblack -k K --org-id O --hostname H --secret S --api-id A --debug -l INFO --exclusion-file F"
        );
        assert_eq!(
            translated("ci falcon -ccid=I -ccs=S=T -ef= -ccidI"),
            "ci falcon --client-id=I --client-secret=S=T --exclusion-file= -ccidI"
        );
        assert_eq!(translated("ci crowdstrike -cs S"), "ci crowdstrike -cs S");
        assert_eq!(translated("ci status -cs"), "ci status -cs");
    }

    #[test]
    fn flags_are_translated_after_a_checked_source() {
        assert_eq!(
            translated("ci check --offline crowdstrike -ccid I -ccs S"),
            "ci check --offline crowdstrike --client-id I --client-secret S"
        );
        assert_eq!(translated("ci check carbonblack -cid A"), "ci check carbonblack --api-id A");
        assert_eq!(translated("ci check -cid crowdstrike"), "ci check -cid crowdstrike");
        assert_eq!(translated("ci check"), "ci check");
        assert_eq!(translated("ci"), "ci");
    }
}
