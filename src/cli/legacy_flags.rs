//! The flags of the Python scripts, as separate arguments: `-ccid ID`, not `-ccid=ID`.

use std::ffi::OsString;

use super::source_command::SourceCommand;

/// Replaces the scripts' flags of several letters after the source that they belong to. (`-k`, `-l`
/// and `--debug` did not change.)
pub(super) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let source = arguments.get(1).and_then(|name| name.to_str()).and_then(SourceCommand::from_name);
    let Some(source) = source else {
        return arguments;
    };
    let flags = source.args().0.legacy_flags();
    for argument in arguments.iter_mut().skip(2) {
        if let Some((_, flag)) = flags.iter().find(|(old, _)| argument == old) {
            *argument = OsString::from(flag);
        }
    }
    arguments
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
        assert_eq!(translated("ci crowdstrike -cs S"), "ci crowdstrike -cs S");
        assert_eq!(translated("ci status -cs"), "ci status -cs");
    }
}
