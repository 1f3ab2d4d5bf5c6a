//! The tables, lines and mistakes of a parsed file.

use super::parse::NOT_TENANTS;
use super::*;

fn parsed(text: &str) -> ConfigFile {
    parse::parse(text, &["one".to_owned(), "two".to_owned()])
}

#[track_caller]
fn assert_mistakes(text: &str, expected: &[(usize, &str)]) {
    let mistakes = parsed(text).mistakes;
    let mistakes: Vec<(usize, &str)> =
        mistakes.iter().map(|mistake| (mistake.line, &*mistake.message)).collect();
    assert_eq!(mistakes, expected, "{text}");
}

#[test]
fn each_setting_has_its_value_and_line() {
    let file = parsed(
        "[defaults]\nflag = true\n\n[defaults.one]\nnumber = 1_000\n\n[[tenant]]\nname = \"a\"\nsource = \"two\"\nids = [\"x\", 2]\nrate = 1.5\n",
    );
    assert_eq!(file.mistakes, []);
    let entry = |table: &Table, key: &str| {
        let entry = table.get(key).unwrap();
        (entry.value.clone(), entry.line)
    };
    assert_eq!(entry(&file.defaults, "flag"), (Value::Flag(true), 2));
    let (name, table) = &file.source_defaults[0];
    assert_eq!(name, "one");
    assert_eq!(entry(table, "number"), (Value::One("1000".to_owned()), 5));
    let tenant = file.tenant(&"a".parse().unwrap()).unwrap();
    assert_eq!(tenant.source, "two");
    let ids = Value::Many(vec!["x".to_owned(), "2".to_owned()]);
    assert_eq!(entry(&tenant.table, "ids"), (ids, 10));
    assert_eq!(entry(&tenant.table, "rate"), (Value::Other("a number with a decimal point"), 11));
    assert!(tenant.table.get("name").is_none());
}

#[test]
fn an_empty_file_has_no_settings() {
    for text in ["", "\n# a comment\n", "[defaults]\n"] {
        let file = parsed(text);
        assert!(file.defaults.entries.is_empty() && file.tenants.is_empty(), "{text}");
        assert_eq!(file.failure(Vec::new()), None);
    }
}

#[test]
fn the_syntax_and_the_tables_are_checked() {
    assert_mistakes(
        "[defaults]\nkey = \"abc\nhours = 3\n",
        &[(2, "this is not valid TOML: invalid basic string, expected `\"`")],
    );
    assert_mistakes("[defaults]\na = 1\na = 2\n", &[(3, "this is not valid TOML: duplicate key")]);
    assert_mistakes("tenant = 1\n", &[(1, NOT_TENANTS)]);
    assert_mistakes("[tenant]\n", &[(1, NOT_TENANTS)]);
    assert_mistakes("tenant = [1]\n", &[(1, NOT_TENANTS)]);
    assert_mistakes("defaults = 1\n", &[(1, "defaults is a table: [defaults]")]);
    assert_mistakes(
        "\n[other]\n",
        &[(2, "unknown key other: settings are in the tables [defaults] and [[tenant]]")],
    );
    assert_mistakes(
        "[defaults.three]\n",
        &[(1, "unknown table [defaults.three]; the sources are one and two")],
    );
}

#[test]
fn a_tenant_has_a_name_of_its_own_and_a_source() {
    assert_mistakes(
        "[[tenant]]\n",
        &[(1, "this tenant has no name"), (1, "this tenant has no source")],
    );
    assert_mistakes(
        "[[tenant]]\nname = true\nsource = \"three\"\n",
        &[(2, "name must be a string"), (3, "unknown source; the sources are one and two")],
    );
    assert_mistakes(
        "[[tenant]]\nname = \"a\"\nsource = \"one\"\n[[tenant]]\nname = \"a\"\nsource = \"two\"\n",
        &[(5, "there is another tenant named a; each needs its own name")],
    );
}

#[test]
fn a_failure_lists_the_mistakes_by_line() {
    let mut file = parsed("a = 1\n");
    file.path = "config.toml".into();
    let mistake = |line| Mistake { line, message: "m".to_owned() };
    let list = file.failure(vec![mistake(3), mistake(2)]).unwrap().list;
    assert!(list[0].starts_with("config.toml:1: unknown key a"), "{list:?}");
    assert_eq!(list[1..], ["config.toml:2: m", "config.toml:3: m"]);
    let many = file.failure((0..30).map(mistake).collect()).unwrap().list;
    assert_eq!((many.len(), many[20].as_str()), (21, "and 11 more"));
}
