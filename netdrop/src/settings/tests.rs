use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::export::metrics::Label;

fn parse(text: &str) -> Result<Settings, String> {
    toml::from_str(text)
        .map_err(|error| SettingsError::in_file(Path::new("netdrop.toml"), text, &error).to_string())
}

fn over(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let overrides = environment(variables);
    let read = overrides.iter().try_fold(Settings::default(), |settings, each| each.apply(&settings));
    read.map_err(|error| error.to_string())
}

#[test]
fn the_defaults_written_and_read_are_the_defaults() {
    let text = Settings::default().to_toml().unwrap();
    assert_eq!(parse(&text).unwrap(), Settings::default());
    assert_eq!(parse("").unwrap(), Settings::default());
    insta::assert_snapshot!(text);
}

#[test]
fn a_file_says_what_it_changes() {
    let settings = parse(
        "[capture]\ninterval = '1m'\nrate = 0\n[capture.not]\nclass = ['lifecycle']\n\
         [metrics]\nlabels = ['reason', 'netns']\n[log]\nto = ['file', 'journald']\nrotate = '1h'\n",
    )
    .unwrap();
    assert_eq!(settings.capture.interval.0, Duration::from_mins(1));
    assert_eq!(settings.capture.wanted().class.not, ["lifecycle"]);
    assert_eq!(settings.metrics.labels, [Label::Reason, Label::Netns]);
    assert_eq!(settings.log.to, [Target::File, Target::Journald]);
    assert_eq!(parse(&settings.to_toml().unwrap()).unwrap(), settings);
}

#[rstest]
#[case(
    "[capture]\nintervl = '5s'",
    "netdrop.toml:2: there is no key `intervl`; did you mean `interval`? (choose from"
)]
#[case(
    "[captur]",
    "netdrop.toml:1: there is no key `captur`; did you mean `capture`? (choose from capture, metrics, http, otlp, log, doctor, sandbox"
)]
#[case("[capture]\n\ninterval = 'soon'", "netdrop.toml:3: interval: ")]
#[case("[capture]\ninterval = '1ms'", "netdrop.toml:2: interval: write a time of 100ms or more")]
#[case("[capture]\nsnaplen = 12", "netdrop.toml:2: snaplen: write a number of bytes, 64 to 256")]
#[case("[capture]\nrate = -1", "netdrop.toml:2: rate: invalid value: integer `-1`, expected u32")]
#[case(
    "[log]\nto = ['jurnald']",
    "netdrop.toml:2: to: there is no value `jurnald`; did you mean `journald`? (choose from stdout"
)]
#[case("[metrics]\nlabels = ['reason', 'adress']", "netdrop.toml:2: labels: there is no value `adress`")]
#[case("[log", "netdrop.toml:1: ")]
fn errors_name_the_line_the_key_and_what_is_allowed(#[case] text: &str, #[case] said: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.starts_with(said), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn variables_win_over_the_file() {
    let settings = over(&[
        ("NETDROP_CAPTURE_INTERVAL", "5s"),
        ("NETDROP_CAPTURE_RATE", "7"),
        ("NETDROP_CAPTURE_STACK", "true"),
        ("NETDROP_CAPTURE_NOT_CLASS", "lifecycle, policy"),
        ("NETDROP_METRICS_LABELS", "reason"),
        ("NETDROP_LOG_TO", ""),
        ("NETDROP_METRICS_MAX_SERIES", "12"),
        ("NETDROP_ELSE", "x"),
        ("NETDROP_LOG_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("HOME", "/root"),
    ])
    .unwrap();
    assert_eq!(settings.capture.interval.0, Duration::from_secs(5));
    assert_eq!((settings.capture.rate, settings.capture.stack), (7, true));
    assert_eq!(settings.capture.not.class, ["lifecycle", "policy"]);
    assert_eq!(settings.metrics.labels, [Label::Reason]);
    assert_eq!(settings.metrics.max_series, 12);
    assert!(settings.log.to.is_empty());
}

#[rstest]
#[case(
    "NETDROP_CAPTURE_INTERVL",
    "5s",
    "NETDROP_CAPTURE_INTERVL: there is no key `intervl`; did you mean `interval`?"
)]
#[case("NETDROP_CAPTURE_RATE", "many", "NETDROP_CAPTURE_RATE: invalid type")]
#[case("NETDROP_CAPTURE_INTERVAL", "5", "NETDROP_CAPTURE_INTERVAL: ")]
#[case(
    "NETDROP_METRICS_LABELS",
    "reasn",
    "NETDROP_METRICS_LABELS: there is no value `reasn`; did you mean `reason`?"
)]
fn a_wrong_variable_is_named(#[case] name: &str, #[case] value: &str, #[case] said: &str) {
    let error = over(&[(name, value)]).unwrap_err();
    assert!(error.starts_with(said), "{error}");
}

#[rstest]
#[case("capture.interval=5s", true)]
#[case("capture.not.class=lifecycle", true)]
#[case("interval=5s", false)]
#[case("capture.interval", false)]
#[case(".=", false)]
fn a_flag_names_section_key_and_value(#[case] text: &str, #[case] good: bool) {
    assert_eq!(Override::parse(text).is_ok(), good);
}

#[test]
fn a_named_file_must_exist_and_the_default_one_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdrop.toml");
    let sources = Sources::new(Some(path.clone()), vec![Override::parse("capture.rate=3").unwrap()]);
    assert!(sources.read().unwrap_err().to_string().starts_with("can't read the settings in "));
    std::fs::write(&path, "[capture]\nrate = 1\nsnaplen = 128\n").unwrap();
    let capture = sources.read().unwrap().capture;
    assert_eq!((capture.rate, capture.snaplen), (3, 128));
}

#[test]
fn only_what_the_program_depends_on_makes_for_a_new_one() {
    let old = Capture::default();
    let slower = Capture { interval: Time(Duration::from_mins(1)), ..Capture::default() };
    let richer = Capture { rate: 100, ..Capture::default() };
    assert!(old.same_program(&slower));
    assert!(!old.same_program(&richer));
}

proptest! {
    /// No text makes for a panic, nor for an error of several lines.
    #[test]
    fn any_text_is_settings_or_an_error_of_one_line(text in "(\\[(capture|log|metrics)\\]\n|[a-z_.]{0,9}|=|[0-9'\"\\[\\], ]|\n|\\PC){0,20}") {
        if let Err(error) = parse(&text) {
            prop_assert_eq!(error.lines().count(), 1, "{}", error);
        }
    }
}

#[test]
fn a_flag_leaves_secrets_as_they_are() {
    let settings: Settings = toml::from_str("otlp.headers = {authorization = \"Bearer x\"}").unwrap();
    let changed = Override::parse("otlp.endpoint=http://c:4317").unwrap().apply(&settings).unwrap();
    assert_eq!(changed.otlp.headers, settings.otlp.headers);
    assert_eq!(changed.otlp.endpoint.as_deref(), Some("http://c:4317"));
    assert!(!changed.to_toml().unwrap().contains("Bearer"));
}
