//! The reasons why a mention is not sent, and their log lines.

use std::borrow::Cow;

use crate::detection::{Detection, Mention};
use crate::indicator::RejectReason;
use crate::redact;

/// The maximum length of an alert's id in the log; those seen have about a hundred characters.
const MAX_ID_CHARS: usize = 200;

/// The reason why a mention is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SkipReason {
    /// The alert's severity or confidence is too low.
    BelowThreshold,
    /// An analyst dismissed the alert.
    Dismissed,
    /// It is not an indicator that may be sent.
    Rejected(RejectReason),
    /// The vendor trusts the file.
    Trusted,
    /// A line of the exclusion file matches it.
    Excluded {
        /// Counted from 1.
        line: u32,
    },
    /// An earlier mention of this run has the indicator, or an earlier run stored the mention,
    /// which is in the outbox or was dropped from there.
    Repeated,
    /// An earlier run delivered it.
    AlreadyDelivered,
}

impl SkipReason {
    /// Returns its name in the log and in the ledger.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BelowThreshold => "below threshold",
            Self::Dismissed => "dismissed",
            Self::Rejected(RejectReason::Unsupported) => "unsupported",
            Self::Rejected(RejectReason::Invalid | RejectReason::Meaningless) => "invalid",
            Self::Rejected(RejectReason::Private) => "internal",
            Self::Trusted => "trusted",
            Self::Excluded { .. } => "excluded",
            Self::Repeated => "repeated",
            Self::AlreadyDelivered => "already delivered",
        }
    }

    /// Logs at debug level that a mention is not sent.
    pub(super) fn log(self, detection: &Detection, mention: &Mention) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let alert = excerpt_of_id(&detection.id);
        let line = match self {
            Self::Excluded { line } => Some(line),
            _ => None,
        };
        let rejected = mention.indicator.as_ref().err();
        tracing::debug!(
            alert,
            field = mention.field,
            value = &*logged_value(mention),
            reason = self.as_str(),
            line,
            detail = rejected.map(|rejected| rejected.reason.to_string()),
            "an indicator is not sent"
        );
    }
}

/// Returns the beginning of an alert's id without secrets, for the log and for samples.
pub(super) fn excerpt_of_id(id: &str) -> String {
    redact::excerpt(id, MAX_ID_CHARS)
}

/// Returns the value of a mention for the log. What was rejected may be or contain an internal name
/// or address, and is defanged.
fn logged_value(mention: &Mention) -> Cow<'_, str> {
    match &mention.indicator {
        Ok(indicator) => indicator.value().into(),
        // Secrets first: a defanged one would not be recognized.
        Err(rejected) => defang(&redact::mask_secrets(&rejected.text)).into(),
    }
}

/// Changes a name, address or URL so that no program makes a link of it or takes it for an
/// indicator: `hxxp://10[.]1[.]2[.]3/a`.
fn defang(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase().replace("http", "hxxp") + "://", rest),
        None => (String::new(), text),
    };
    rest.chars().fold(scheme, |mut defanged, char| {
        match char {
            // The other three are dots in a host name too (UTS 46).
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => defanged.push_str("[.]"),
            ':' => defanged.push_str("[:]"),
            _ => defanged.push(char),
        }
        defanged
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indicator::ClaimedType;

    #[test]
    fn internal_names_addresses_and_urls_are_defanged() {
        for (claim, text, expected) in [
            (ClaimedType::Address, " 10.1.2.3 ", "10[.]1[.]2[.]3"),
            (ClaimedType::Address, "fd00::1", "fd00[:][:]1"),
            (ClaimedType::Domain, "host.corp.local", "host[.]corp[.]local"),
            (ClaimedType::Domain, "host\u{3002}corp", "host[.]corp"),
            (ClaimedType::Domain, "localhost", "localhost"),
            (ClaimedType::Domain, "10.1.2.3", "10[.]1[.]2[.]3"),
            (ClaimedType::Sha256, "http://wiki.corp/", "hxxp://wiki[.]corp/"),
            (
                ClaimedType::Url,
                "HTTP://me:s3cret@10.1.2.3:80/a.b",
                "hxxp://10[.]1[.]2[.]3[:]80/a[.]b",
            ),
            (ClaimedType::Url, "https://intranet/", "hxxps://intranet/"),
        ] {
            let mention = Mention::parse("field", claim, text);
            assert_eq!(logged_value(&mention), expected);
        }
    }

    #[test]
    fn other_rejected_values_are_defanged_too_and_indicators_are_not() {
        for (claim, text, expected) in [
            (ClaimedType::Domain, "WWW.example.com.", "www.example.com"),
            (ClaimedType::Address, "10.1.2.3/8", "10[.]1[.]2[.]3/8"),
            (ClaimedType::Domain, "10.1.2.3:443", "10[.]1[.]2[.]3[:]443"),
            (ClaimedType::Url, "http://me:s3cret@exa mple.com/", "hxxp://exa mple[.]com/"),
        ] {
            assert_eq!(logged_value(&Mention::parse("field", claim, text)), expected);
        }
        let unsupported = |text| logged_value(&Mention::unsupported("field", text)).into_owned();
        assert_eq!(unsupported("\\\\files.corp\\x"), "\\\\files[.]corp\\x");
        assert_eq!(unsupported("a.corp,10.0.0.1"), "a[.]corp,10[.]0[.]0[.]1");
        let huge = Mention::unsupported("field", &"é".repeat(1_000_000));
        assert_eq!(logged_value(&huge), "é".repeat(200));
    }
}
