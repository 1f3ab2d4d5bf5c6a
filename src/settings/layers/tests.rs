//! Which layer the value of an option is from.

use std::path::PathBuf;

use super::super::lookup::Part;
use super::*;

const KEY: Names =
    Names { flag: "--key", variable: "KEY", fallbacks: &["OTHER_KEY"], combined: None };

/// Returns layers of a settings file in which each table has a value for `key`.
fn with_all_tables(precedence: Precedence, environment: Environment) -> Layers {
    let table = |line| Table {
        entries: vec![Entry {
            key: "key".to_owned(),
            value: Value::One(format!("line {line}")),
            line,
        }],
    };
    Layers {
        environment,
        precedence,
        variables: [("key".to_owned(), "GENERATED_KEY".to_owned())].into(),
        file: Some(Rc::new(ConfigFile::with_text("", &[]))),
        tenant: table(7),
        source_defaults: table(5),
        defaults: table(2),
        ..Layers::empty()
    }
}

fn origin(layers: &Layers) -> String {
    let wanted = Wanted { key: "key", names: Some(&KEY), is_secret: true };
    layers.find(wanted).unwrap().map_or_else(String::new, |found| found.origin.to_string())
}

#[test]
fn a_command_about_one_tenant_prefers_variables() {
    let all: Environment = |name| match name {
        "KEY" | "OTHER_KEY" | "GENERATED_KEY" => Some("text".into()),
        _ => None,
    };
    let others: Environment = |name| (name != "KEY").then(|| "text".into());
    let generated: Environment = |name| (name == "GENERATED_KEY").then(|| "text".into());
    let blank: Environment = |_| Some(" ".into());
    for (environment, expected) in [
        (all, "variable KEY"),
        (others, "variable OTHER_KEY"),
        (generated, "variable GENERATED_KEY"),
    ] {
        assert_eq!(origin(&with_all_tables(Precedence::Variables, environment)), expected);
    }
    let mut layers = with_all_tables(Precedence::Variables, |_| None);
    assert_eq!(origin(&layers), "config.toml:7");
    layers.tenant = Table::default();
    assert_eq!(origin(&layers), "config.toml:5");
    layers.source_defaults = Table::default();
    assert_eq!(origin(&layers), "config.toml:2");
    layers.defaults = Table::default();
    assert_eq!(origin(&layers), "");
    let wanted = Wanted { key: "key", names: Some(&KEY), is_secret: false };
    layers.environment = blank;
    assert_eq!(layers.find(wanted).unwrap(), None);
}

#[test]
fn a_command_about_many_tenants_prefers_what_a_tenant_sets() {
    let all: Environment = |name| matches!(name, "KEY" | "GENERATED_KEY").then(|| "text".into());
    let mut layers = with_all_tables(Precedence::Tenant, all);
    assert_eq!(origin(&layers), "config.toml:7");
    layers.tenant = Table::default();
    assert_eq!(origin(&layers), "variable KEY");
    layers.environment = |name| (name == "KEY_FILE").then(|| "/dev/null".into());
    assert_eq!(origin(&layers), "file /dev/null (KEY_FILE)");
    layers.environment = |_| None;
    assert_eq!(origin(&layers), "config.toml:5");
}

#[test]
fn a_file_that_the_settings_file_names_has_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, " from-a-file \n").unwrap();
    let mut layers = with_all_tables(Precedence::Variables, |_| None);
    layers.tenant.entries = vec![Entry {
        key: "key-file".to_owned(),
        value: Value::One(path.display().to_string()),
        line: 9,
    }];
    let wanted = Wanted { key: "key", names: Some(&KEY), is_secret: true };
    let found = layers.find(wanted).unwrap().unwrap();
    assert_eq!(found.value, Some(Value::One("from-a-file".to_owned())));
    assert_eq!(found.origin, Origin::File("config.toml:9".to_owned(), path));
    let wanted = Wanted { is_secret: false, ..wanted };
    let place = Origin::SettingsFile { path: PathBuf::from("config.toml"), line: 5 };
    assert_eq!(layers.find(wanted).unwrap().unwrap().origin, place);
}

#[test]
fn a_part_of_a_variable_is_used_after_fallbacks_and_must_have_its_form() {
    const PART: Names = Names {
        combined: Some(Part {
            variable: "BOTH",
            form: "<key>/<id>",
            take: |text| Some(text.rsplit_once('/')?.0),
        }),
        ..KEY
    };
    let find = |environment: Environment| {
        let wanted = Wanted { key: "key", names: Some(&PART), is_secret: true };
        let found = Layers::of_environment(environment).find(wanted);
        found.map(|found| found.map(|found| (found.value, found.origin.to_string())))
    };
    let value = |text: &str| Some(Value::One(text.to_owned()));
    assert_eq!(
        find(|name| (name == "BOTH").then(|| "a/b/c".into())),
        Ok(Some((value("a/b"), "variable BOTH".to_owned())))
    );
    assert_eq!(
        find(|name| matches!(name, "BOTH" | "OTHER_KEY").then(|| "x".into())),
        Ok(Some((value("x"), "variable OTHER_KEY".to_owned())))
    );
    let error = find(|name| (name == "BOTH").then(|| "no-slash".into())).unwrap_err();
    assert_eq!(error.message, "the variable BOTH is not valid: its form is <key>/<id>");
}
