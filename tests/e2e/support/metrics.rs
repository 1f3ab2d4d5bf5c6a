//! The metrics file, read back.

use std::collections::BTreeMap;
use std::path::Path;

/// The prefix of all names.
pub const PREFIX: &str = "collective_insights_";

/// The samples of a metrics file by name and labels, for example
/// `last_run_exit_code{tenant="acme",source="crowdstrike"}`, without the prefix of the names.
#[derive(Debug)]
pub struct Metrics {
    pub text: String,
    samples: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads a file, in which each metric has one HELP, one TYPE and at least one sample.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let mut samples = BTreeMap::new();
        let (mut name, mut seen) = ("", Vec::new());
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                name = help.split(' ').next().unwrap();
                assert!(name.starts_with(PREFIX) && !seen.contains(&name), "{line}");
                seen.push(name);
                assert_eq!(lines.next(), Some(&*format!("# TYPE {name} gauge")));
                let first = lines.peek().is_some_and(|line| line.starts_with(name));
                assert!(first, "{name} has no sample");
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(sample.split('{').next(), Some(name), "{line}");
            let sample = sample.strip_prefix(PREFIX).unwrap().to_owned();
            let old = samples.insert(sample, value.to_owned());
            assert_eq!(old, None, "twice: {line}");
        }
        Self { text, samples }
    }

    /// Returns a value as it is written; `labels` is for example `acme crowdstrike`, or
    /// `acme crowdstrike waiting` for a metric with the label `fate` (what became of something).
    pub fn find(&self, name: &str, labels: &str) -> Option<&str> {
        let labels: Vec<&str> = labels.split(' ').collect();
        let fate = labels.get(2).map_or_else(String::new, |fate| format!(",fate=\"{fate}\""));
        let labels = format!("tenant=\"{}\",source=\"{}\"{fate}", labels[0], labels[1]);
        self.samples.get(&format!("{name}{{{labels}}}")).map(String::as_str)
    }

    /// Returns a value that must be there.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &str) -> &str {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} of {labels} in {}", self.text))
    }

    /// Returns the values of a metric by its label `fate`.
    pub fn fates(&self, name: &str, tenant: &str) -> BTreeMap<String, u64> {
        let beginning = format!("{name}{{tenant=\"{tenant}\",");
        let of_tenant = self.samples.iter().filter(|(sample, _)| sample.starts_with(&beginning));
        of_tenant
            .map(|(sample, value)| {
                let fate = sample.split_once("fate=\"").unwrap().1.trim_end_matches("\"}");
                (fate.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// Returns the names of the metrics, in their order.
    pub fn names(&self) -> Vec<&str> {
        let help = self.text.lines().filter_map(|line| line.strip_prefix("# HELP "));
        help.filter_map(|line| line.split(' ').next()?.strip_prefix(PREFIX)).collect()
    }

    /// Returns the tenants, sorted.
    pub fn tenants(&self) -> Vec<String> {
        let tenants = self.samples.keys().filter(|sample| sample.starts_with("build_info{"));
        let mut tenants: Vec<String> =
            tenants.map(|sample| sample.split('"').nth(1).unwrap().to_owned()).collect();
        tenants.sort();
        tenants
    }
}
