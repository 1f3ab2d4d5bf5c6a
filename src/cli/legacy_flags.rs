//! The Python scripts' own flags, as separate arguments: `-ccid ID`, not `-ccid=ID`.

use std::ffi::OsString;

/// The scripts' flags of several letters behind one hyphen, and what they are called here. (`-k`, `-l`
/// and `--debug` have the same name in both.)
const CROWDSTRIKE: [(&str, &str); 3] =
    [("-ccid", "--client-id"), ("-ccs", "--client-secret"), ("-ef", "--exclusion-file")];
const CARBONBLACK: [(&str, &str); 5] = [
    ("-co", "--org-id"),
    ("-ch", "--hostname"),
    ("-cs", "--secret"),
    ("-cid", "--api-id"),
    ("-ef", "--exclusion-file"),
];

/// Replaces the scripts' flags behind the subcommand they belong to.
pub(super) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let named = |name: &str| arguments.iter().skip(1).take(1).any(|argument| argument == name);
    let flags: &[(&str, &str)] = if named("crowdstrike") {
        &CROWDSTRIKE
    } else if named("carbonblack") {
        &CARBONBLACK
    } else {
        &[]
    };
    for argument in arguments.iter_mut().skip(2) {
        if let Some((_, name)) = flags.iter().find(|(old, _)| argument == old) {
            *argument = OsString::from(name);
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
    fn each_flag_is_translated_behind_its_own_subcommand() {
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
