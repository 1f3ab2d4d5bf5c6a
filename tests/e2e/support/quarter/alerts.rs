//! Generates the alerts of a quarter of a year: of 90 nights, in most of which each vendor has a
//! run. All data is invented: hashes are random digits, domains are under example.com, example.net
//! and example.org, public addresses are in 1.0.0.0/8.

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Utc, Weekday};
use fastrand::Rng;
use serde_json::{Value, json};

use super::{FIRST_NIGHT, NIGHTS};
use crate::support::vendor::Vendor;

/// Rules of the exclusion file. The last two have no hit.
pub const EXCLUSIONS: &str = "# Invented.\n.assets.example.org\nupdates.example.com\n1.255.0.0/16\n\
    unused.example\n203.0.113.0/24\n";

/// Tactic and technique: three of each of ten tactics.
const TECHNIQUES: [(&str, &str); 30] = [
    ("TA0001", "T1566.001"),
    ("TA0001", "T1566.002"),
    ("TA0001", "T1190"),
    ("TA0002", "T1059.001"),
    ("TA0002", "T1204.002"),
    ("TA0002", "T1047"),
    ("TA0003", "T1053.005"),
    ("TA0003", "T1547.001"),
    ("TA0003", "T1543.003"),
    ("TA0004", "T1068"),
    ("TA0004", "T1548.002"),
    ("TA0004", "T1134"),
    ("TA0005", "T1055.012"),
    ("TA0005", "T1027"),
    ("TA0005", "T1218.011"),
    ("TA0006", "T1003.001"),
    ("TA0006", "T1110.003"),
    ("TA0006", "T1558.003"),
    ("TA0007", "T1082"),
    ("TA0007", "T1018"),
    ("TA0007", "T1087.002"),
    ("TA0008", "T1021.001"),
    ("TA0008", "T1021.002"),
    ("TA0008", "T1570"),
    ("TA0011", "T1071.001"),
    ("TA0011", "T1105"),
    ("TA0011", "T1572"),
    ("TA0040", "T1486"),
    ("TA0040", "T1490"),
    ("TA0040", "T1489"),
];

/// The same indicators in many alerts, over weeks.
struct Campaign {
    /// The first and the last day, counted from 0.
    days: (u32, u32),
    vendors: &'static [Vendor],
    /// The number of its indicators, and about how many alerts of each vendor name one per working
    /// day.
    size: (u64, u32),
    /// The index in [`TECHNIQUES`] of its only technique.
    technique: usize,
    severity: u64,
}

const BOTH: &[Vendor] = &Vendor::ALL;

const CAMPAIGNS: [Campaign; 7] = [
    Campaign { days: (3, 31), vendors: BOTH, size: (6, 9), technique: 0, severity: 70 },
    Campaign { days: (14, 22), vendors: BOTH, size: (3, 24), technique: 24, severity: 90 },
    Campaign {
        days: (20, 62),
        vendors: &[Vendor::CrowdStrike],
        size: (8, 6),
        technique: 15,
        severity: 70,
    },
    Campaign {
        days: (35, 41),
        vendors: &[Vendor::CarbonBlack],
        size: (4, 16),
        technique: 4,
        severity: 50,
    },
    Campaign { days: (52, 80), vendors: BOTH, size: (5, 12), technique: 25, severity: 90 },
    Campaign { days: (71, 89), vendors: BOTH, size: (7, 14), technique: 27, severity: 100 },
    Campaign { days: (0, 89), vendors: BOTH, size: (2, 3), technique: 13, severity: 30 },
];

/// What an alert may name, each after its weight.
const CONTENTS: [(u64, Content); 12] = [
    (240, Content::Nothing),
    (250, Content::New("hash")),
    (100, Content::New("ip")),
    (130, Content::New("domain")),
    (70, Content::New("url")),
    (60, Content::Known),
    (30, Content::Internal),
    (25, Content::Unsupported),
    (8, Content::Invalid),
    (35, Content::Trusted),
    (30, Content::Excluded),
    (22, Content::Dismissed),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Nothing,
    /// An indicator of this type that no other alert named before; for Carbon Black a domain
    /// instead of a URL.
    New(&'static str),
    /// An indicator that an earlier alert named; for Carbon Black none if that is a URL.
    Known,
    /// An internal address.
    Internal,
    /// An indicator of a type that is not sent.
    Unsupported,
    /// A value that does not fit its type.
    Invalid,
    /// The hash of a file that Carbon Black trusts.
    Trusted,
    /// An indicator that a rule of [`EXCLUSIONS`] matches.
    Excluded,
    /// The same as `Known`, in an alert that an analyst dismissed.
    Dismissed,
}

/// The type of an indicator that an alert names, or `trusted` for the hash of a trusted file, and
/// its value.
type Named = (&'static str, String);

/// The values of campaigns and of trusted files have numbers from here on: above those of
/// `Content::New`.
const FIRST_CAMPAIGN: u64 = 1 << 40;
const FIRST_TRUSTED: u64 = 2 << 40;

/// Generates the alerts of both vendors, day by day.
pub struct Generator {
    random: Rng,
    /// New indicators so far.
    known: Vec<Named>,
    alerts: u64,
}

impl Generator {
    pub fn new() -> Self {
        Self { random: Rng::with_seed(20_260_825), known: Vec::new(), alerts: 0 }
    }

    /// Returns the indicators that the sandbox is to reject. Call it after the last day.
    pub fn rejected(&self) -> Vec<String> {
        self.known.iter().skip(900).step_by(1700).map(|(_, value)| value.clone()).collect()
    }

    /// Generates the alerts of a vendor that were created in the 24 hours before the time of
    /// CrowdStrike's run in night `day`, also for Carbon Black.
    pub fn day(&mut self, vendor: Vendor, day: u32) -> Vec<Value> {
        let start = first_night() + TimeDelta::days(i64::from(day) - 1);
        let is_weekend = matches!(start.weekday(), Weekday::Sat | Weekday::Sun);
        let per_day = |alerts: u32| if is_weekend { alerts * 2 / 5 } else { alerts };
        let base = match vendor {
            Vendor::CrowdStrike => 265,
            Vendor::CarbonBlack => 180,
        };
        // 25 % more at the end, and up to 15 % more or less from day to day.
        let trend = base + base * day / (4 * NIGHTS);
        let count = per_day(trend * self.random.u32(85..=115) / 100);
        let mut alerts: Vec<Value> = (0..count).map(|_| self.alert(vendor, day, start)).collect();
        for (number, campaign) in (0..).zip(&CAMPAIGNS) {
            if campaign.vendors.contains(&vendor)
                && (campaign.days.0..=campaign.days.1).contains(&day)
            {
                for _ in 0..per_day(campaign.size.1 * self.random.u32(60..=140) / 100) {
                    alerts.push(self.campaign_alert(vendor, number, campaign, start));
                }
            }
        }
        alerts
    }

    fn campaign_alert(
        &mut self,
        vendor: Vendor,
        number: u64,
        campaign: &Campaign,
        start: DateTime<Utc>,
    ) -> Value {
        let member = number * 100 + self.random.u64(0..campaign.size.0);
        let kind = match member % 3 {
            0 => "hash",
            1 => "domain",
            _ => "ip",
        };
        let named = (kind, value(kind, FIRST_CAMPAIGN | member));
        self.render(vendor, start, Some(named), (campaign.severity, campaign.technique), false)
    }

    fn alert(&mut self, vendor: Vendor, day: u32, start: DateTime<Utc>) -> Value {
        let content = self.weighted(&CONTENTS);
        let number = self.known.len();
        let named = match content {
            Content::Nothing => None,
            Content::New(kind) => {
                let kind =
                    if vendor == Vendor::CarbonBlack && kind == "url" { "domain" } else { kind };
                self.known.push((kind, value(kind, u64::try_from(number).unwrap())));
                self.known.last().cloned()
            }
            // One of the latest 5000, which are those of some weeks.
            Content::Known | Content::Dismissed => {
                let from = number.saturating_sub(5000);
                let known =
                    (number > 0).then(|| self.known[self.random.usize(from..number)].clone());
                known.filter(|(kind, _)| *kind != "url" || vendor == Vendor::CrowdStrike)
            }
            Content::Internal => Some(("ip", format!("10.20.{}.7", self.random.u8(..)))),
            Content::Unsupported => Some(("registry_key", r"\REGISTRY\MACHINE\Invented".into())),
            Content::Invalid => Some(("hash", "not a hash".into())),
            Content::Trusted => {
                Some(("trusted", value("hash", FIRST_TRUSTED | self.random.u64(0..40))))
            }
            Content::Excluded => Some(match self.random.u8(0..10) {
                0..6 => ("domain", format!("cdn{}.assets.example.org", self.random.u8(0..5))),
                6..9 => ("domain", "updates.example.com".into()),
                _ => ("ip", "1.255.8.9".into()),
            }),
        };
        let severity = self.weighted(&[(6, 10), (25, 30), (38, 50), (24, 70), (7, 90)]);
        let technique = self.technique(day);
        self.render(vendor, start, named, (severity, technique), content == Content::Dismissed)
    }

    /// Chooses a technique. A few are frequent and most are rare; in one sixth of the quarter, each
    /// is three times as frequent.
    fn technique(&mut self, day: u32) -> usize {
        let weight = |number: u32| {
            let in_season = day / 15 == number % 6;
            // 7 is coprime to 30: each rank occurs once, and those of a tactic are spread out.
            let rank = number * 7 % 30;
            u64::from(600 / (rank + 3) * if in_season { 3 } else { 1 })
        };
        let weights: Vec<(u64, usize)> = (0..).map(weight).zip(0..TECHNIQUES.len()).collect();
        self.weighted(&weights)
    }

    fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let mut left = self.random.u64(0..choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        unreachable!("the weights add up to more")
    }

    fn render(
        &mut self,
        vendor: Vendor,
        start: DateTime<Utc>,
        named: Option<Named>,
        (severity, technique): (u64, usize),
        is_dismissed: bool,
    ) -> Value {
        self.alerts += 1;
        // The sum of two random numbers: most alerts are created around noon.
        let second = self.random.i64(0..43_200) + self.random.i64(0..43_200);
        let created = start + TimeDelta::milliseconds(second * 1000 + self.random.i64(0..1000));
        let seen = created - TimeDelta::seconds(self.random.i64(20..200));
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (tactic, code) = TECHNIQUES[technique];
        let common = Common {
            id: format!("{vendor:?}-{:06}", self.alerts).to_lowercase(),
            created: time(created),
            seen: time(seen),
            severity,
            codes: (tactic, code),
            is_dismissed,
        };
        match vendor {
            Vendor::CrowdStrike => falcon(&common, named, self.random.u64(30..=100)),
            Vendor::CarbonBlack => carbonblack(&common, named),
        }
    }
}

struct Common {
    id: String,
    created: String,
    seen: String,
    severity: u64,
    codes: (&'static str, &'static str),
    is_dismissed: bool,
}

fn falcon(alert: &Common, named: Option<Named>, confidence: u64) -> Value {
    let (kind, value) = named.unwrap_or_default();
    let ioc_type = match kind {
        "hash" | "trusted" => "hash_sha256",
        "ip" => "ipv4",
        kind => kind,
    };
    json!({
        "composite_id": alert.id, "product": "epp", "type": "ldt",
        "created_timestamp": alert.created, "timestamp": alert.seen,
        "severity": alert.severity, "confidence": confidence,
        "display_name": format!("Invented{}", alert.codes.1.replace('.', "")),
        "description": "A process behaved as an invented pattern describes.",
        "tactic_id": alert.codes.0, "technique_id": alert.codes.1,
        "ioc_type": ioc_type, "ioc_value": value, "ioc_context": [],
        "tags": if alert.is_dismissed { json!(["false_positive"]) } else { json!([]) },
    })
}

fn carbonblack(alert: &Common, named: Option<Named>) -> Value {
    let mut document = json!({
        "id": alert.id, "type": "CB_ANALYTICS",
        "backend_timestamp": alert.created, "detection_timestamp": alert.seen,
        "severity": alert.severity.div_ceil(10),
        "reason": "A process matched an invented rule.",
        "attack_tactic": alert.codes.0, "attack_technique": alert.codes.1,
        "ioc_hit": "", "process_effective_reputation": "NOT_LISTED",
        "determination": {"value": if alert.is_dismissed { "FALSE_POSITIVE" } else { "NONE" }},
    });
    let Some((kind, value)) = named else { return document };
    let fields = match kind {
        "hash" => {
            [("process_sha256", value.as_str()), ("process_effective_reputation", "KNOWN_MALWARE")]
                .to_vec()
        }
        "trusted" => [
            ("process_sha256", value.as_str()),
            ("process_effective_reputation", "TRUSTED_WHITE_LIST"),
            ("ioc_field", "process_sha256"),
            ("ioc_hit", value.as_str()),
        ]
        .to_vec(),
        "ip" => [("ioc_field", "netconn_ipv4"), ("ioc_hit", value.as_str())].to_vec(),
        "domain" => [("ioc_field", "netconn_domain"), ("ioc_hit", value.as_str())].to_vec(),
        _ => [("ioc_field", "process_name"), ("ioc_hit", "invented.exe")].to_vec(),
    };
    for (field, value) in fields {
        document[field] = value.into();
    }
    document
}

/// Returns the value of an indicator: always the same for the same type and number.
fn value(kind: &str, number: u64) -> String {
    let mut random = Rng::with_seed(number);
    let top = ["example.com", "example.net", "example.org"][random.usize(0..3)];
    match kind {
        "hash" => format!("{:032x}{:032x}", random.u128(..), random.u128(..)),
        "ip" => {
            let [_, second, third, fourth] =
                u32::try_from(number & 0xff_ffff).unwrap().to_be_bytes();
            // Campaigns have their own networks, and 1.255.0.0/16 is excluded.
            format!("1.{}.{third}.{fourth}", second + if number < FIRST_CAMPAIGN { 0 } else { 100 })
        }
        "domain" => format!("node-{:07x}.{top}", random.u32(..) >> 4),
        _ => format!("https://web-{:07x}.{top}/download/{number:x}", random.u32(..) >> 4),
    }
}

fn first_night() -> DateTime<Utc> {
    FIRST_NIGHT.parse().unwrap()
}
