//! Maps a Carbon Black alert to a [`Detection`].

use std::borrow::Cow;

use super::IndicatorChoice;
use super::reputation::Reputation;
use super::wire::Alert;
use crate::detection::{AlertOutcome, Assessment, BareAlert, Detection, Mention};
use crate::indicator::{ClaimedType, Indicator};
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::lenient::Text;
use crate::sources::parsed_alert::ParsedAlert;

/// Maps one alert.
pub(super) fn parse_alert(alert: Alert<'_>, choice: IndicatorChoice) -> ParsedAlert {
    ParsedAlert {
        id: alert.id.as_ref().map(|id| id.clone().into_owned()),
        created_at: alert.backend_timestamp,
        outcome: outcome(alert, choice),
    }
}

fn outcome(alert: Alert<'_>, choice: IndicatorChoice) -> AlertOutcome {
    let assessment = assessment(&alert);
    let mentions = mentions(&alert, choice);
    if mentions.is_empty() {
        let other_choice = self::mentions(&alert, IndicatorChoice::Malicious);
        let other_choice =
            other_choice.iter().any(|mention| mention.indicator.is_ok() && !mention.trusted);
        let bare = BareAlert::new(assessment, alert.r#type.as_deref(), other_choice);
        return AlertOutcome::WithoutIndicator(bare);
    }
    let mitre_codes = mitre_codes(&alert);
    // `backend_timestamp` can be days later, if a sensor was offline.
    let observed_at = alert.detection_timestamp.or(alert.backend_timestamp);
    match (alert.id.0.map(Cow::into_owned), observed_at) {
        (Some(id), Some(observed_at)) => AlertOutcome::Detection(Box::new(Detection {
            id,
            observed_at,
            created_at: alert.backend_timestamp.unwrap_or(observed_at),
            name: alert.reason.0.map(Cow::into_owned),
            incident_name: None,
            assessment,
            mitre_codes,
            mentions,
        })),
        (None, _) => AlertOutcome::Unreadable { id: None, reason: "it has no id" },
        (id, None) => AlertOutcome::Unreadable {
            id,
            reason: "it has neither a readable detection_timestamp nor backend_timestamp",
        },
    }
}

fn assessment(alert: &Alert<'_>) -> Assessment {
    let verdict = alert.determination.value.as_deref();
    Assessment {
        severity: alert.severity,
        confidence: None,
        dismissed: verdict.is_some_and(|verdict| verdict.eq_ignore_ascii_case("FALSE_POSITIVE")),
    }
}

/// A hash of a file that an alert names.
#[derive(Debug, Clone, Copy)]
struct File<'a> {
    field: &'static str,
    claimed: ClaimedType,
    hash: &'a str,
    reputation: Reputation,
}

impl File<'_> {
    fn is_valid(&self) -> bool {
        Indicator::parse(self.claimed, self.hash).is_ok()
    }

    fn mention(self) -> Mention {
        let trusted = self.reputation == Reputation::Trusted;
        Mention { trusted, ..Mention::parse(self.field, self.claimed, self.hash) }
    }
}

/// A file that an alert names by its hashes.
#[derive(Debug, Clone, Copy)]
struct FileHashes<'a> {
    sha256: Option<File<'a>>,
    md5: Option<File<'a>>,
}

impl<'a> FileHashes<'a> {
    /// Returns the hash that is sent: the SHA-256, unless only the MD5 is valid.
    fn best(self) -> Option<File<'a>> {
        match (self.sha256, self.md5) {
            (Some(sha256), Some(md5)) if !sha256.is_valid() && md5.is_valid() => Some(md5),
            (sha256, md5) => sha256.or(md5),
        }
    }
}

/// Returns the file in a role: `process`, `blocked`, `parent` or `childproc`.
fn file<'a>(
    fields: [&'static str; 2],
    [sha256, md5, reputation]: [&'a Text<'_>; 3],
) -> FileHashes<'a> {
    let reputation = Reputation::parse(reputation.as_deref());
    let [sha256_field, md5_field] = fields;
    let named = |field, claimed, hash: &'a Text<'_>| {
        hash.as_deref().map(|hash| File { field, claimed, hash, reputation })
    };
    FileHashes {
        sha256: named(sha256_field, ClaimedType::Sha256, sha256),
        md5: named(md5_field, ClaimedType::Md5, md5),
    }
}

fn process<'a>(alert: &'a Alert<'_>) -> FileHashes<'a> {
    let hashes = [&alert.process_sha256, &alert.process_md5, &alert.process_effective_reputation];
    file(["process_sha256", "process_md5"], hashes)
}

fn blocked<'a>(alert: &'a Alert<'_>) -> FileHashes<'a> {
    let hashes = [&alert.blocked_sha256, &alert.blocked_md5, &alert.blocked_effective_reputation];
    file(["blocked_sha256", "blocked_md5"], hashes)
}

/// Returns every hash that the alert names.
fn all_files<'a>(alert: &'a Alert<'_>) -> impl Iterator<Item = File<'a>> {
    let parent = [&alert.parent_sha256, &alert.parent_md5, &alert.parent_effective_reputation];
    let child =
        [&alert.childproc_sha256, &alert.childproc_md5, &alert.childproc_effective_reputation];
    [
        process(alert),
        blocked(alert),
        file(["parent_sha256", "parent_md5"], parent),
        file(["childproc_sha256", "childproc_md5"], child),
    ]
    .into_iter()
    .flat_map(|file| [file.sha256, file.md5])
    .flatten()
}

fn mentions(alert: &Alert<'_>, choice: IndicatorChoice) -> Vec<Mention> {
    let (process, blocked) = (process(alert), blocked(alert).best());
    let chosen = match choice {
        IndicatorChoice::Malicious => return malicious(alert),
        // Empty texts are absent: the API sends `""` for fields that do not apply.
        _ if blocked.is_none() && alert.ioc_hit.is_none() => [None, None],
        IndicatorChoice::Process => [process.sha256, None],
        IndicatorChoice::Blocked => [blocked, None],
        IndicatorChoice::Both => [process.sha256, blocked],
    };
    chosen.into_iter().flatten().map(File::mention).collect()
}

/// Returns the files that Carbon Black judges to be bad, and the IOC that was hit. A hash counts as
/// trusted if Carbon Black trusts it in any role of the alert.
fn malicious(alert: &Alert<'_>) -> Vec<Mention> {
    let bad = [process(alert).best(), blocked(alert).best()].into_iter().flatten();
    let bad = bad
        .filter(|file| file.reputation == Reputation::Bad)
        .map(|file| Mention { trusted: is_trusted(alert, file.hash), ..file.mention() });
    bad.chain(ioc_hit(alert)).collect()
}

/// Whether Carbon Black trusts a file with this hash.
fn is_trusted(alert: &Alert<'_>, hash: &str) -> bool {
    all_files(alert)
        .any(|file| file.reputation == Reputation::Trusted && file.hash.eq_ignore_ascii_case(hash))
}

/// Returns the IOC that was hit, if the alert names a field of a known type in which it was looked
/// for. Otherwise it may be a query.
fn ioc_hit(alert: &Alert<'_>) -> Option<Mention> {
    let hit = alert.ioc_hit.as_deref()?;
    let field = alert.ioc_field.as_deref()?;
    let claimed = claimed_type(field)?;
    // The hit is the file in that field, unless the alert itself has a hash there.
    let is_unnamed = !all_files(alert).any(|file| file.field.eq_ignore_ascii_case(field));
    let trusted =
        is_trusted(alert, hit) || is_unnamed && reputation_in(alert, field) == Reputation::Trusted;
    Some(Mention { trusted, ..Mention::parse("ioc_hit", claimed, hit) })
}

/// Returns the reputation of the file whose hash is in a field such as `parent_md5`.
fn reputation_in(alert: &Alert<'_>, field: &str) -> Reputation {
    let role = field.to_ascii_lowercase();
    let name = match role.split_once('_').unwrap_or_default().0 {
        "process" => &alert.process_effective_reputation,
        "parent" => &alert.parent_effective_reputation,
        "childproc" => &alert.childproc_effective_reputation,
        "blocked" => &alert.blocked_effective_reputation,
        _ => &None,
    };
    Reputation::parse(name.as_deref())
}

/// Returns the type of the values of a field such as `process_sha256` or `netconn_ipv4`.
fn claimed_type(field: &str) -> Option<ClaimedType> {
    match field.to_ascii_lowercase().rsplit_once('_')?.1 {
        "sha256" => Some(ClaimedType::Sha256),
        "md5" => Some(ClaimedType::Md5),
        "ipv4" | "ipv6" => Some(ClaimedType::Address),
        "domain" => Some(ClaimedType::Domain),
        _ => None,
    }
}

/// Returns the MITRE codes of an alert; a watchlist hit has them only in the fields `report_*`.
fn mitre_codes(alert: &Alert<'_>) -> MitreCodes {
    let attack = [&alert.attack_tactic, &alert.attack_technique];
    attack
        .into_iter()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .chain(alert.ttps.iter().filter_map(|ttp| MitreCode::from_ttp(ttp)))
        .chain(alert.report_tags.iter().filter_map(|tag| MitreCode::parse(tag)))
        .chain(alert.report_link.as_deref().and_then(MitreCode::from_link))
        .collect()
}

#[cfg(test)]
mod tests;
