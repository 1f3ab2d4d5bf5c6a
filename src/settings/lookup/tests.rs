//! Where a value comes from, and what is missing or not valid.

use super::*;

const TEXT: Names =
    Names { flag: "--text", variable: "TEXT", fallbacks: &["OTHER_TEXT"], combined: None };
const KEY: Names = Names { flag: "--key", variable: "KEY", fallbacks: &[], combined: None };

fn in_fallback() -> Lookup {
    let layers =
        Layers::of_environment(|name| (name == "OTHER_TEXT").then(|| " from the fallback ".into()));
    Lookup::new(&Rc::new(layers))
}

#[test]
fn an_argument_takes_precedence_over_variables() {
    let mut lookup = in_fallback();
    assert_eq!(lookup.optional(&TEXT, Some("argument")).as_deref(), Some("argument"));
    assert_eq!(lookup.optional(&TEXT, Some(" ")).as_deref(), Some("from the fallback"));
    assert_eq!(lookup.defaulted(&KEY, None, "default"), "default");
    let origins: Vec<Origin> =
        lookup.into_options().unwrap().into_iter().map(|option| option.origin).collect();
    let fallback = Origin::Variable("OTHER_TEXT".to_owned());
    assert_eq!(origins, [Origin::Argument, fallback, Origin::Default]);
}

#[test]
fn missing_settings_are_reported_together_and_before_invalid_ones() {
    let mut lookup = Lookup::without_layers();
    assert!(lookup.required(&TEXT, None).is_none());
    assert!(lookup.secret(&KEY, None).is_none());
    let invalid = Failure::new(FailureKind::Configuration, "not valid", "");
    assert_eq!(lookup.accept::<()>(Err(invalid)), None);
    let Err(SettingsError::Missing(failure)) = lookup.finish(Some(())) else {
        panic!("no missing setting was reported");
    };
    assert_eq!(failure.message, "required settings are missing");
    assert_eq!(failure.list, ["--text (TEXT)", "--key (KEY)"]);
}

#[test]
fn an_invalid_setting_is_an_error_even_with_a_value() {
    let mut lookup = in_fallback();
    assert!(lookup.required(&TEXT, None).is_some());
    let invalid = Failure::new(FailureKind::Configuration, "not valid", "");
    assert_eq!(lookup.accept::<()>(Err(invalid)), None);
    assert!(matches!(lookup.finish(Some(())), Err(SettingsError::Invalid(_))));
}

#[test]
fn a_secret_and_the_password_in_an_address_are_masked() {
    let mut lookup = Lookup::without_layers();
    lookup.optional(&TEXT, Some("https://user:password@host"));
    lookup.secret(&KEY, Some(&SecretString::from("a-secret-of-a-test")));
    let values: Vec<String> =
        lookup.into_options().unwrap().into_iter().map(|option| option.value).collect();
    assert_eq!(values, ["https://(secret)@host", MASK]);
}
