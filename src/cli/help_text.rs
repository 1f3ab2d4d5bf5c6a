//! The texts below the options in the help and in the man pages: examples and exit codes.

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

pub(super) const HISTORY: &str = "\
Examples:
  Show the last week:
    collective-insights history --days 7
  List the top indicators of the last 90 days:
    collective-insights history --days 90 --json | jq -r '.indicators[].value'";

pub(super) const OUTBOX: &str = "\
Examples:
  Show which indicators Recorded Future rejected, and why:
    collective-insights outbox list --quarantined
  Send them again with the next run:
    collective-insights outbox retry";

pub(super) const GENERATE: &str = "\
Examples:
  Install completions:
    collective-insights generate completions bash \\
        > ~/.local/share/bash-completion/completions/collective-insights
    collective-insights generate completions zsh > \"${fpath[1]}/_collective-insights\"
  Install man pages:
    collective-insights generate man --dir ~/.local/share/man/man1
  Schedule daily runs with cron or systemd:
    collective-insights generate cron
    collective-insights generate systemd --dir /etc/systemd/system
  Start an exclusion file:
    collective-insights generate exclusions > known-good.txt";

pub(super) const FIRST_STEPS: &str = "\
Examples:
  Show what would be sent, without sending it:
    collective-insights crowdstrike --dry-run
  Send it, and show the result:
    collective-insights crowdstrike
    collective-insights status
  Schedule daily runs with cron or systemd:
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
