//! The texts below the options in the help and in the man pages: examples, what the page of
//! `report` shows, and exit codes.

use std::fmt::Write as _;

use crate::failure::FailureKind;

/// Returns the table of exit codes.
pub(super) fn exit_codes() -> String {
    let success =
        "Exit codes:\n  0    success, also with nothing to do, or a used-up daily limit".to_owned();
    FailureKind::ALL.into_iter().fold(success, |mut text, kind| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<4} {}", kind.exit_code(), kind.description());
        text
    })
}

pub(super) const RUN: &str = "\
Examples:
  Start a settings file:
    collective-insights generate config > config.toml
  Run all its tenants, 16 at a time:
    collective-insights run --config config.toml --jobs 16
  Read a week again for one of them:
    collective-insights run --tenant acme-falcon --since 7d";

pub(super) const HISTORY: &str = "\
Examples:
  Show the last week:
    collective-insights history --days 7
  List the top indicators of the last 90 days:
    collective-insights history --days 90 --json | jq -r '.indicators[].value'";

pub(super) const REPORT: &str = "\
What the page shows:
  Overview: indicators shared and alerts read, with the change since the
    period before, which is as long; what is queued and in quarantine now.
  Health: for each tenant, the days on which its runs succeeded, failed or
    are missing; the longest time without success; spans that were never read;
    what was sent today with its API key; failed runs by their exit code.
  Shared: indicators per day by source and by type, with the mean of seven
    days. By source it has the numbers of `history`, by the day on which the run
    started; by type the day of the delivery counts.
  From alerts to indicators: what became of all alerts and of each mention
    of an indicator in them. `help numbers` explains the rows.
  ATT&CK: how many submissions named each technique, below its tactics.
  Indicators: those that most alerts named, those that more than one source
    saw, and those that are new; with first and last seen, severity and sources.
    With --tenant or --source, nothing is said about other sources.
  Left out and rejected: exclusion rules by hits, rejections by status.

The page is one file without scripts. It loads nothing, links nowhere, follows
the browser's light or dark theme, and can be printed. The numbers of a chart
are below it as a table. Texts of vendors are shown as text only.

It names indicators, tenants and the exclusion rules that matched. With
--with-details it also has the ids of alerts, the messages of Recorded Future,
the errors of runs, and samples of what was left out, such as internal names and
addresses. A new file has mode 0600; one that is replaced keeps its mode and, as
far as this user may give it, its group, so that others can read it every week.

The report is read from the ledger, offline: indicators are kept for 90 days,
runs and techniques for 400. A run that is in progress waits for it, usually less
than a second and with a full ledger a few.

Examples:
  Write the report of the last 30 days:
    collective-insights report --html report.html
  Of one tenant, with all that its owner may see:
    collective-insights report --html acme.html --tenant acme --with-details
  Write one every week:
    collective-insights generate cron --weekly-report /srv/reports/insights.html";

pub(super) const EXPLAIN: &str = "\
Examples:
  Find out what became of a domain that a threat report names:
    collective-insights explain 'evil[.]example[.]com'
  List the indicators of an alert that were delivered:
    collective-insights explain ldt:0123:4567 --json \\
        | jq -r '.tenants[].entries[] | select(.state == \"delivered\").value'";

pub(super) const VERIFY: &str = "\
Examples:
  Verify the deliveries of the last week:
    collective-insights verify
  Queue again what is missing, and send it:
    collective-insights verify --requeue-missing
    collective-insights run
  List what is missing:
    collective-insights verify --json | jq -r '.missing[].value'";

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
    collective-insights generate man --dir ~/.local/share/man
  Schedule daily runs with cron or systemd:
    collective-insights generate cron
    collective-insights generate systemd --dir /etc/systemd/system
  Schedule all tenants of a settings file, with cron or in Kubernetes:
    collective-insights generate cron --config config.toml
    collective-insights generate kubernetes --config config.toml
  Start an exclusion file:
    collective-insights generate exclusions > known-good.txt
  Start a settings file:
    collective-insights generate config > config.toml";

pub(super) const HELP: &str = "\
Examples:
  Proxies and certificates:
    collective-insights help networks
  The keys of all JSON documents:
    collective-insights help json";

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
    use super::*;

    #[test]
    fn every_exit_code_has_one_line() {
        let text = exit_codes();
        let codes: Vec<u8> = text
            .lines()
            .skip(1)
            .map(|line| line.trim().split_once("  ").unwrap().0.trim().parse().unwrap())
            .collect();
        let kinds = FailureKind::ALL.map(FailureKind::exit_code);
        assert_eq!(codes, std::iter::once(0).chain(kinds).collect::<Vec<u8>>());
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
