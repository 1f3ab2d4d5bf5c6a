//! The texts below the options: examples and exit codes. A line without indentation that ends with a colon is a
//! heading, also in the man pages.

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  1    unexpected
  2    usage or configuration
  3    partly done: something waits or is in quarantine
  4    credentials or permission
  5    temporary trouble, safe to run again
  6    the ledger cannot be used
  7    another run holds the ledger
  130, 143  interrupted by Ctrl-C, by SIGTERM";

pub(super) const CROWDSTRIKE: &str = "\
Examples:
  Show what the last 24 hours would send, and send nothing:
    collective-insights crowdstrike --dry-run
  Without what is known to be good:
    collective-insights crowdstrike --exclusion-file known-good.txt
  From medium severity on:
    collective-insights crowdstrike --min-severity medium
  Everything from a certain moment on:
    collective-insights crowdstrike --since 2026-11-01T00:00:00Z
  Have Recorded Future check everything, and save nothing:
    collective-insights crowdstrike --debug";

pub(super) const CARBONBLACK: &str = "\
Examples:
  Show what the last 24 hours would send, and send nothing:
    collective-insights carbonblack --dry-run
  Without what is known to be good:
    collective-insights carbonblack --exclusion-file known-good.txt
  With the hashes of what was blocked:
    collective-insights carbonblack --indicator blocked
  Everything from a certain moment on:
    collective-insights carbonblack --since 2026-11-01T00:00:00Z
  Have Recorded Future check everything, and save nothing:
    collective-insights carbonblack --debug";

pub(super) const HISTORY: &str = "\
Examples:
  The last week:
    collective-insights history --days 7
  The indicators seen most in the last 90 days, as a list:
    collective-insights history --days 90 --json | jq -r '.indicators[].value'";

pub(super) const OUTBOX: &str = "\
Examples:
  What was refused, and in which words:
    collective-insights outbox list --quarantined
  Send it again with the next run:
    collective-insights outbox retry";

pub(super) const GENERATE: &str = "\
Examples:
  Completions:
    collective-insights generate completions bash \\
        > ~/.local/share/bash-completion/completions/collective-insights
    collective-insights generate completions zsh > \"${fpath[1]}/_collective-insights\"
  Man pages:
    collective-insights generate man --dir ~/.local/share/man/man1
  A schedule, with cron or with systemd:
    collective-insights generate cron
    collective-insights generate systemd --dir /etc/systemd/system
  An exclusion file:
    collective-insights generate exclusions > known-good.txt";

pub(super) const FIRST_STEPS: &str = "\
Examples:
  See first what would be sent:
    collective-insights crowdstrike --dry-run
  Send it, and see how it stands:
    collective-insights crowdstrike
    collective-insights status
  Every day, with cron or with systemd:
    collective-insights generate cron
    collective-insights generate systemd";

#[cfg(test)]
mod tests {
    use super::EXIT_CODES;
    use crate::failure::{FailureKind, Signal};

    #[test]
    fn every_exit_code_is_told() {
        let told: Vec<u8> = EXIT_CODES
            .lines()
            .skip(1)
            .flat_map(|line| {
                let (codes, _) = line.trim().split_once("  ").unwrap();
                codes.split(", ").map(|code| code.parse().unwrap())
            })
            .collect();
        let kinds = [
            FailureKind::Unexpected,
            FailureKind::Configuration,
            FailureKind::Partial,
            FailureKind::Credentials,
            FailureKind::Temporary,
            FailureKind::Ledger,
            FailureKind::Locked,
            FailureKind::Interrupted(Signal::Interrupt),
            FailureKind::Interrupted(Signal::Terminate),
        ];
        let codes: Vec<u8> = std::iter::once(0).chain(kinds.map(FailureKind::exit_code)).collect();
        assert_eq!(told, codes);
    }
}
