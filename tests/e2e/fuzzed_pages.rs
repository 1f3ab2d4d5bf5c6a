//! Tests the whole program with pages of randomly damaged alerts: no valid alert is lost, and
//! nothing reaches an output unescaped.

use fastrand::Rng;
use sandbox::World;
use serde_json::Value;

use crate::support::TestEnv;
use crate::support::alerts::hashes;
use crate::support::safe_text::assert_safe;
use crate::support::vendor::{Vendor, millis_into_day};

/// The number of valid alerts on each page.
const VALID: u64 = 6;

/// The number of damaged alerts on each page.
const DAMAGED: u64 = 30;

/// JSON values: usual ones, huge numbers, control characters, and text that no JSON library writes.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "70",
    "0.5",
    "1e999",
    "-1e999",
    "1e-999",
    "1E30",
    "99999999999999999999999999",
    r#""""#,
    r#"" ""#,
    r#""70""#,
    r#""\ud800""#,
    r#""a\udc00b""#,
    r#""\ud83d\ude00""#,
    r#""\u0000\u001b[31m\u009b1m\r\n2026 ERROR""#,
    "\"\u{1}\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2028}\"",
    r#""hash_sha256""#,
    r#""domain""#,
    r#""url""#,
    r#""ipv4""#,
    r#""evil.example.com,10.0.0.1,\u0000""#,
    r#""http://a.example.com/\ud800?a,b""#,
    r#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#,
    r#""TA0002""#,
    r#""T1059.001""#,
    r#""MITRE_T1059_001_X""#,
    r#""2026-11-21T08:00:00Z""#,
    r#""2016-12-31T23:59:60Z""#,
    r#""0000-01-01T00:00:00+23:59""#,
    r#""9999-12-31T23:59:59-23:59""#,
    "[]",
    "{}",
    r#"{"a": 1, "a": 2}"#,
    r#"[{"ioc_type": "domain", "ioc_value": "b.example.com"}]"#,
];

/// Returns one of [`VALUES`], which may be nested, in an array, or replaced by a long string.
fn any_value(random: &mut Rng) -> String {
    let value = random.choice(VALUES).copied().unwrap_or("null");
    match random.u32(0..20) {
        0 => {
            let depth = random.usize(1..300);
            format!("{}{value}{}", "[".repeat(depth), "]".repeat(depth))
        }
        1 => {
            let depth = random.usize(1..300);
            format!("{}{value}{}", r#"{"ioc_value":"#.repeat(depth), "}".repeat(depth))
        }
        2 => format!("[{value}, {}]", any_value(random)),
        3 => format!(r#""{}""#, "n".repeat(random.usize(0..50_000))),
        _ => value.to_owned(),
    }
}

/// Returns the text of an alert with some fields replaced, repeated, removed or added, or sometimes
/// another value in its place.
fn damaged(alert: &Value, random: &mut Rng) -> String {
    if random.u32(0..30) == 0 {
        return any_value(random);
    }
    let mut fields: Vec<(String, String)> = alert
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (format!("{key:?}"), value.to_string()))
        .collect();
    for _ in 0..random.u32(1..6) {
        let index = random.usize(0..fields.len());
        match random.u32(0..8) {
            0 if fields.len() > 1 => drop(fields.remove(index)),
            1 => fields.push((fields[index].0.clone(), any_value(random))),
            2 => fields.insert(index, (r#""\ud800""#.to_owned(), any_value(random))),
            3 => fields.push((r#""unknown""#.to_owned(), any_value(random))),
            _ => fields[index].1 = any_value(random),
        }
    }
    let fields: Vec<String> =
        fields.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

/// Returns an environment with one page of valid and damaged alerts in random order.
fn env_with_page(vendor: Vendor, random: &mut Rng) -> TestEnv {
    let mut numbers: Vec<u64> = (1..=VALID + DAMAGED).collect();
    random.shuffle(&mut numbers);
    let world = numbers.into_iter().fold(World::default(), |world, number| {
        let alert = vendor.alert(number, millis_into_day(random.u64(1..80_000_000)));
        let text = if number <= VALID { alert.to_string() } else { damaged(&alert, random) };
        vendor.add_raw(world, &text, &alert)
    });
    TestEnv::new(world)
}

/// Runs the program with one page and checks the result. Returns the numbers of readable and
/// unreadable alerts.
fn check_page(seed: u64) -> (u64, u64) {
    let mut random = Rng::with_seed(seed);
    let vendor = Vendor::ALL[usize::from(random.bool())];
    let env = env_with_page(vendor, &mut random);
    if random.u32(0..4) == 0 {
        let output = env.run(&format!("{} --debug", vendor.command()));
        assert!([0, 3].contains(&output.code), "seed {seed}: {output:?}");
        assert_safe(&env, &output);
    }
    let output = env.run(&format!("{} --json", vendor.command()));
    output.assert_counts_add_up();
    let (fetched, unreadable) = (output.count("alerts_fetched"), output.count("alerts_unreadable"));
    let context = format!("seed {seed}, {vendor:?}: {output:?}");
    assert_eq!(output.code, if unreadable == 0 { 0 } else { 3 }, "{context}");
    // Damaged alerts may have equal ids.
    assert!((VALID..=VALID + DAMAGED).contains(&fetched), "{context}");
    assert_eq!((output.count("quarantined"), output.count("waiting")), (0, 0), "{context}");
    let stored = env.stored_values();
    assert!(hashes(1..=VALID).iter().all(|valid| stored.contains(valid)), "{context}");
    assert!(!env.log().contains("panicked"), "{context}");
    assert_safe(&env, &output);
    (fetched - unreadable, unreadable)
}

/// Checks pages, each with another seed.
fn check_pages(pages: u64) {
    let (mut readable, mut unreadable) = (0, 0);
    for seed in 0..pages {
        let found = check_page(seed);
        readable += found.0;
        unreadable += found.1;
    }
    println!("{pages} pages: {readable} alerts were read, {unreadable} were not");
    assert!(readable > unreadable && unreadable > 0, "{readable} and {unreadable}");
}

#[test]
fn damaged_alerts_do_no_harm() {
    check_pages(40);
}

#[test]
#[ignore = "long form: takes minutes"]
fn damaged_alerts_do_no_harm_on_5000_pages() {
    check_pages(5000);
}
