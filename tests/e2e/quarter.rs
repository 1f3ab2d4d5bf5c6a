//! Writes the ledger of an invented quarter (see `support::quarter`), to look at by hand.

use std::path::Path;

use crate::support::quarter::{END, build};

/// Writes the state folder after the quarter into the folder that this variable names:
/// `COLLECTIVE_INSIGHTS_TEST_QUARTER=/tmp/quarter cargo test --test e2e quarter -- --ignored`.
const FOLDER_VARIABLE: &str = "COLLECTIVE_INSIGHTS_TEST_QUARTER";

#[test]
#[ignore = "writes a ledger to look at by hand: takes a minute"]
fn a_quarter_can_be_looked_at() {
    let env = build();
    let summary = env.run_at(END, "history --days 90").assert_code(0);
    println!("{}", summary.stdout);
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(env.folder()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    println!("{}: now {END}", folder.display());
}
