//! The content of the page, read from the ledger as of one moment.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::commands::days::{self, Day, first_day, midnight};
use crate::commands::tenants::{KnownTenant, SettingsFileTenants, known_tenants};
use crate::failure::Failure;
use crate::indicator::IndicatorType;
use crate::ledger::{
    DeliveriesByDay, INDICATORS_KEPT, IndicatorOrigin, LedgerReader, LeftOutTotal, Period,
    Rejections, RuleHits, RunRecord, Summary, Technique, TenantFilter, TenantStatus,
};
use crate::report::Counts;
use crate::settings::Mode;

/// The maximum number of indicators in each list.
pub(super) const TOP: usize = 20;
/// More techniques than ATT&CK has; a vendor can name others.
const MAX_TECHNIQUES: u32 = 1000;

/// The mode of the runs that deliver.
const LIVE: &str = Mode::Live.name();

/// The number of days before the period that the mean of seven days needs.
const DAYS_BEFORE: u32 = 6;

/// The content of the page.
pub(super) struct Data {
    pub now: DateTime<Utc>,
    /// Which tenants are included.
    pub filter: TenantFilter,
    /// The number of UTC days, today included.
    pub days: u32,
    /// The first of them.
    pub since: NaiveDate,
    /// The first day of the period before, which is as long.
    pub earlier_since: NaiveDate,
    /// When the earliest recorded live run of each tenant started, UTC.
    pub first_runs: BTreeMap<String, DateTime<Utc>>,
    /// One row per tenant and day, as the command `history` shows, also for days without a run
    /// after the tenant's first one: for these days, and for days in the future if a clock was
    /// wrong.
    pub rows: Vec<Day>,
    /// The same for the period before, and at least for the six days before.
    pub earlier_rows: Vec<Day>,
    /// The runs that deliver, of `rows` and `earlier_rows`, the oldest first, without their counts.
    pub runs: Vec<RunRecord>,
    pub tenants: Vec<KnownTenant>,
    pub statuses: Vec<TenantStatus>,
    /// Also those of the six days before.
    pub deliveries: DeliveriesByDay,
    pub techniques: Vec<Technique>,
    /// The submissions of each technique in the period before, by its code.
    pub earlier_techniques: HashMap<String, u64>,
    pub summary: Summary,
    /// The sources and the last alerts of each listed indicator.
    pub origins: HashMap<(IndicatorType, String), IndicatorOrigin>,
    /// The exclusion rules that matched in the period, those with the most hits.
    pub rules: Vec<RuleHits>,
    /// The number of exclusion rules that matched in the period, listed or not.
    pub rule_count: u64,
    pub rejections: Vec<Rejections>,
    /// The values that were left out on purpose, those with the most mentions.
    pub left_out: Vec<LeftOutTotal>,
}

impl Data {
    /// Reads the last `days` UTC days and as many before them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn read(
        ledger: &LedgerReader,
        filter: TenantFilter,
        file_tenants: SettingsFileTenants<'_>,
        days: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        ledger.freeze()?;
        let (since, earlier_since) = (first_day(now, days), first_day(now, days * 2));
        let start = midnight(since);
        let period = Period::since(start);
        let earlier = Period { start: midnight(earlier_since), end: Some(start) };
        let before = midnight(first_day(now, days + DAYS_BEFORE));
        // The mean of the first day needs six days, also where the period before is shorter.
        let mut runs = ledger.runs(earlier.start.min(before), &filter)?;
        runs.retain(|run| run.mode == LIVE);
        let all_rows = days::days(&runs, now);
        let (earlier_rows, rows) = all_rows.into_iter().partition(|row: &Day| row.date < since);
        for run in &mut runs {
            run.counts = None;
        }
        let summary = ledger.summary(period, TOP, &filter)?;
        let listed = summary.top.iter().chain(&summary.top_in_several).chain(&summary.top_new);
        let origins = ledger.origins(listed, period, &filter)?;
        let (rules, rule_count) = ledger.rules_by_hits(start, TOP_RULES, &filter)?;
        let earlier_techniques = ledger.techniques(earlier, MAX_TECHNIQUES, &filter)?;
        Ok(Self {
            now,
            days,
            since,
            earlier_since,
            first_runs: ledger.first_runs(LIVE, &filter)?,
            rows,
            earlier_rows,
            runs,
            tenants: known_tenants(ledger, file_tenants, &filter)?,
            statuses: ledger.status(now, &filter)?,
            deliveries: ledger.deliveries_by_day(Period::since(before), &filter)?,
            techniques: ledger.techniques(period, MAX_TECHNIQUES, &filter)?,
            earlier_techniques: earlier_techniques
                .into_iter()
                .map(|technique| (technique.code, technique.submissions))
                .collect(),
            summary,
            origins,
            rules,
            rule_count,
            rejections: ledger.rejections(&filter)?,
            left_out: ledger.top_left_out(start, TOP_LEFT_OUT, &filter)?,
            filter,
        })
    }

    /// Returns the days of the period, the oldest first.
    pub(super) fn dates(&self) -> Vec<NaiveDate> {
        self.since.iter_days().take(usize::try_from(self.days).unwrap_or(usize::MAX)).collect()
    }

    /// Returns the day of the earliest recorded live run.
    pub(super) fn first_run_day(&self) -> Option<NaiveDate> {
        self.first_runs.values().min().map(DateTime::date_naive)
    }

    /// Returns the first day for which the ledger still has each single delivery.
    pub(super) fn deliveries_known_since(&self) -> Option<NaiveDate> {
        let kept = (self.now - INDICATORS_KEPT).date_naive() + Days::new(1);
        self.first_run_day().map(|first| first.max(kept))
    }

    /// Whether runs are recorded for all of the period before.
    pub(super) fn has_earlier(&self) -> bool {
        self.first_run_day().is_some_and(|first| first <= self.earlier_since)
    }

    /// Returns for how many days before the period the ledger has deliveries.
    pub(super) fn days_with_history(&self) -> u64 {
        let first = self.summary.first_delivery.map(|time| time.date_naive());
        let days = first.map_or(0, |first| (self.since - first).num_days());
        u64::try_from(days).unwrap_or_default()
    }

    /// Whether only some tenants are included, so that the sources of the others are not known.
    pub(super) const fn is_filtered(&self) -> bool {
        self.filter.name.is_some() || self.filter.source.is_some()
    }

    /// Whether there are runs in the future, recorded with a wrong clock.
    pub(super) fn has_later_rows(&self) -> bool {
        self.rows.iter().any(|row| row.date > self.now.date_naive())
    }

    /// Returns the counts of all tenants in the period.
    pub(super) fn total(&self) -> Counts {
        total(&self.rows)
    }

    /// Returns the counts of all tenants in the period before.
    pub(super) fn earlier_total(&self) -> Counts {
        let is_earlier = |row: &&Day| row.date >= self.earlier_since;
        total(self.earlier_rows.iter().filter(is_earlier))
    }
}

/// How many exclusion rules are listed, and how many values that were left out.
const TOP_RULES: u32 = 20;
const TOP_LEFT_OUT: u32 = 20;

/// Adds up the counts of all days and tenants.
fn total<'a>(rows: impl IntoIterator<Item = &'a Day>) -> Counts {
    let mut tenants: BTreeMap<&str, Counts> = BTreeMap::new();
    for row in rows {
        // A day without counts would set the queue to 0: `add_next_run` takes that of the last day.
        if let Some(next) = &row.counts {
            tenants
                .entry(&row.tenant)
                .and_modify(|counts| counts.add_next_run(next))
                .or_insert_with(|| next.clone());
        }
    }
    let mut total = Counts::default();
    for counts in tenants.values() {
        total.add(counts);
    }
    total
}
