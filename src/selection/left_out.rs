//! Samples of what is left out, so that a person can ask later what became of an indicator.

use std::collections::HashMap;

use super::skip::{self, SkipReason};
use crate::detection::{Detection, Mention};
use crate::indicator::{Indicator, IndicatorType};
use crate::redact;

/// The number of different samples that a run keeps. It limits the memory of the run and the growth
/// of the ledger.
pub(crate) const MAX_SAMPLES: usize = 5000;

/// The maximum length of a value that is kept, in characters.
pub(crate) const MAX_VALUE_CHARS: usize = 200;

/// The mentions that a run did not send. Only the first [`MAX_SAMPLES`] different ones are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    samples: HashMap<SampleKey, Sample>,
}

/// A mention that was not sent, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SampleKey {
    /// The reason, as the log has it.
    pub reason: &'static str,
    /// `None` where the text is not an indicator that may be sent.
    pub indicator_type: Option<IndicatorType>,
    /// The beginning of the text, without secrets. Not defanged, so that it can be found.
    pub value: String,
}

/// How often a mention was left out, and in which alert last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The beginning of the id of the last alert that named it.
    pub alert: String,
    /// The number of mentions.
    pub mentions: u64,
}

impl LeftOut {
    /// Adds a mention, unless it is repeated or already delivered: its indicator is in the ledger.
    pub(super) fn add(&mut self, reason: SkipReason, detection: &Detection, mention: &Mention) {
        if matches!(reason, SkipReason::Repeated | SkipReason::AlreadyDelivered) {
            return;
        }
        let indicator = mention.indicator.as_ref();
        let text = indicator.map_or_else(|rejected| &*rejected.text, |found| found.value());
        let key = SampleKey {
            reason: reason.as_str(),
            indicator_type: indicator.ok().map(Indicator::kind),
            value: excerpt(text),
        };
        let alert = || skip::excerpt_of_id(&detection.id);
        if let Some(sample) = self.samples.get_mut(&key) {
            sample.mentions += 1;
            sample.alert = alert();
        } else if self.samples.len() < MAX_SAMPLES {
            self.samples.insert(key, Sample { alert: alert(), mentions: 1 });
        }
    }

    /// Returns the samples in any order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SampleKey, &Sample)> {
        self.samples.iter()
    }

    /// Whether there are no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

/// Returns a text as samples have it: its beginning, without secrets.
pub(crate) fn excerpt(text: &str) -> String {
    redact::excerpt(text, MAX_VALUE_CHARS)
}

#[cfg(test)]
impl LeftOut {
    /// Creates samples for tests of what stores them.
    pub(crate) fn from_samples(
        samples: impl IntoIterator<Item = (&'static str, String, String, u64)>,
    ) -> Self {
        let sample = |(reason, value, alert, mentions)| {
            let indicator_type = Some(IndicatorType::Domain);
            (SampleKey { reason, indicator_type, value }, Sample { alert, mentions })
        };
        Self { samples: samples.into_iter().map(sample).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;

    use super::super::exclusions::Exclusions;
    use super::super::{Rules, Selection, Thresholds};
    use super::*;
    use crate::detection::{AlertOutcome, Assessment};
    use crate::indicator::ClaimedType::{Address, Domain, Md5, Url};
    use crate::mitre::MitreCodes;
    use crate::submission::StoreOutcome;

    fn alert(id: &str, severity: u8, mentions: Vec<Mention>) -> AlertOutcome {
        AlertOutcome::Detection(Box::new(Detection {
            id: id.to_owned(),
            observed_at: chrono::DateTime::UNIX_EPOCH,
            created_at: chrono::DateTime::UNIX_EPOCH,
            name: None,
            incident_name: None,
            assessment: Assessment { severity: Some(severity), ..Assessment::default() },
            mitre_codes: MitreCodes::default(),
            mentions,
        }))
    }

    /// Selects from these alerts, and returns what was left out, sorted.
    fn left_out(alerts: Vec<AlertOutcome>, stored: StoreOutcome) -> Vec<(String, String, u64)> {
        let thresholds = Thresholds { severity: 50, confidence: 0 };
        let rules = Rules { thresholds, skip_dismissed: true, skip_trusted: true };
        let list = Exclusions::parse(std::path::Path::new(""), b".good.example\n").unwrap();
        let mut selection = Selection::new(rules, Arc::new(list));
        for outcome in alerts {
            selection.add(outcome, |_, _, _| Ok::<_, ()>(stored)).unwrap();
        }
        let (_, left_out) = selection.into_parts();
        let sample = |(key, sample): (&SampleKey, &Sample)| {
            let SampleKey { reason, indicator_type, value } = key;
            let kind = indicator_type.map_or("-", IndicatorType::as_str);
            (format!("{reason} {kind} {value}"), sample.alert.clone(), sample.mentions)
        };
        let mut samples: Vec<_> = left_out.iter().map(sample).collect();
        samples.sort();
        samples
    }

    fn parse(claim: crate::indicator::ClaimedType, text: &str) -> Mention {
        Mention::parse("field", claim, text)
    }

    #[test]
    fn each_reason_has_its_samples_with_the_last_alert() {
        let trusted = Mention { trusted: true, ..parse(Md5, &"a".repeat(32)) };
        let alerts = vec![
            alert("1", 9, vec![parse(Domain, "low.example.com")]),
            alert("2", 9, vec![parse(Domain, "LOW.example.com.")]),
            alert("3", 50, vec![parse(Address, "10.1.2.3"), parse(Domain, "a.good.example")]),
            alert("4", 50, vec![trusted, parse(Url, "ftp://x/"), parse(Domain, "sent.example")]),
            alert("5", 50, vec![Mention::unsupported("field", "C:\\x.exe")]),
        ];
        let named = |text: &str, alert: &str, mentions| (text.into(), alert.into(), mentions);
        assert_eq!(
            left_out(alerts, StoreOutcome::New),
            [
                named("below threshold domain low.example.com", "2", 2),
                named("excluded domain a.good.example", "3", 1),
                named("internal - 10.1.2.3", "3", 1),
                named("invalid - ftp://x/", "4", 1),
                named("trusted hash aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "4", 1),
                named("unsupported - C:\\x.exe", "5", 1),
            ]
        );
    }

    #[test]
    fn what_the_ledger_knows_is_not_left_out() {
        for stored in [StoreOutcome::New, StoreOutcome::Duplicate, StoreOutcome::AlreadyDelivered] {
            let alerts = vec![alert("1", 50, vec![parse(Domain, "sent.example")])];
            assert_eq!(left_out(alerts, stored), []);
        }
    }

    #[test]
    fn their_number_and_their_length_are_limited_and_known_ones_are_still_counted() {
        let domain = |number: usize| parse(Domain, &format!("d{number}.good.example"));
        let mut alerts: Vec<_> = (0..MAX_SAMPLES + 9)
            .map(|number| alert(&"i".repeat(1000), 50, vec![domain(number)]))
            .collect();
        alerts.push(alert("last", 50, vec![domain(7), domain(MAX_SAMPLES + 1)]));
        let samples = left_out(alerts, StoreOutcome::New);
        assert_eq!(samples.len(), MAX_SAMPLES);
        let seventh = samples.iter().find(|(text, ..)| text.ends_with(" d7.good.example"));
        assert_eq!(seventh.unwrap().1, "last");
        assert_eq!(seventh.unwrap().2, 2);
        assert!(samples.iter().all(|(_, alert, _)| alert.chars().count() <= 200));
        let long = format!("http://good.example/{}", "é".repeat(900));
        let samples = left_out(vec![alert("1", 50, vec![parse(Url, &long)])], StoreOutcome::New);
        assert_eq!(samples[0].0.len(), "excluded url ".len() + MAX_VALUE_CHARS);
    }

    #[test]
    fn secrets_are_masked() {
        redact::register_secret(&SecretString::from("left-out-secret"));
        let url = parse(Url, "http://a.good.example/?key=left-out-secret");
        let samples = left_out(vec![alert("x left-out-secret", 50, vec![url])], StoreOutcome::New);
        assert_eq!(samples[0].0, "excluded url http://a.good.example/?key=[secret]");
        assert_eq!(samples[0].1, "x [secret]");
    }
}
