//! The section `[otlp]` of the configuration, and OpenTelemetry's variables of the environment under it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::error::SettingsError;
use super::label::Label;
use crate::export::resource::pairs;

/// `[otlp]`: where metrics and drops are sent to, and how. Without an endpoint nothing is sent.
///
/// What is absent comes from the environment ([`Settings::with_environment`]), else from the defaults that stand here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The receiver: `http://collector:4317` (gRPC), `https://collector:4318` (HTTP: `/v1/metrics` and `/v1/logs` below it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Another receiver for metrics; with HTTP the whole URL, nothing is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_endpoint: Option<String>,
    /// Another receiver for logs, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_endpoint: Option<String>,
    /// gRPC by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Sent with each request, such as `authorization = "Bearer …"`.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// Time between two exports of metrics: 60 s.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// One export may take so long, connecting included: 10 s.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Drops sent as log records, at most so many a second: 10; 0 sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_per_second: Option<u32>,
    /// Series of a metric, at most so many beside the one that sums the rest: 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_series: Option<usize>,
    /// What tells series apart: reason, class, function, device, transport, type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<Label>>,
    /// Certificates (PEM) of the authorities to be trusted with https, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The own certificate chain (PEM), where the receiver wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OTLP/gRPC.
    #[default]
    Grpc,
    /// OTLP/HTTP, binary protobuf.
    #[serde(alias = "http/protobuf")]
    Http,
}

/// Names and values of headers. The values may be secrets: neither shown nor written.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, String>);

impl Headers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, HIDDEN))).finish()
    }
}

/// What stands for a secret where it would be shown or written.
const HIDDEN: &str = "…";

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, HIDDEN)))
    }
}

impl Settings {
    /// These settings came by way of text from `others`, which hides their secrets: gives them back.
    #[must_use]
    pub fn with_secrets_of(mut self, others: &Self) -> Self {
        let hidden = self.headers.0.iter_mut().filter(|(_, value)| *value == HIDDEN);
        for (name, value) in hidden {
            if let Some(secret) = others.headers.0.get(name) {
                value.clone_from(secret);
            }
        }
        self
    }

    /// Fills what the configuration leaves open from `OTEL_EXPORTER_OTLP_…` (OpenTelemetry specification, "OpenTelemetry Protocol
    /// Exporter") and `OTEL_METRIC_EXPORT_INTERVAL`. `OTEL_SDK_DISABLED=true` is heard where the configuration has no endpoint.
    ///
    /// # Errors
    /// When a variable holds what can't be meant. Others than netdrop's own are not looked at.
    pub fn with_environment(
        mut self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let get = |name: &'static str| variable(name).filter(|value| !value.trim().is_empty());
        let is_off = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_off && !self.is_on() {
            return Ok(self);
        }
        // An endpoint of the configuration is meant for both signals: the environment's special ones stand under it.
        if self.endpoint.is_none() {
            self.metrics_endpoint =
                self.metrics_endpoint.or_else(|| get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"));
            self.logs_endpoint = self.logs_endpoint.or_else(|| get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"));
            self.endpoint = get("OTEL_EXPORTER_OTLP_ENDPOINT");
        }
        if self.protocol.is_none() {
            self.protocol = parsed(get, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc or http/protobuf", protocol)?;
        }
        for (name, value) in pairs(&get("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default()) {
            self.headers.0.entry(name).or_insert(value);
        }
        if self.timeout.is_none() {
            self.timeout = parsed(get, "OTEL_EXPORTER_OTLP_TIMEOUT", MILLISECONDS, milliseconds)?;
        }
        if self.interval.is_none() {
            self.interval = parsed(get, "OTEL_METRIC_EXPORT_INTERVAL", MILLISECONDS, milliseconds)?;
        }
        let path = |name| get(name).map(PathBuf::from);
        self.ca_file = self.ca_file.or_else(|| path("OTEL_EXPORTER_OTLP_CERTIFICATE"));
        self.cert_file = self.cert_file.or_else(|| path("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"));
        self.key_file = self.key_file.or_else(|| path("OTEL_EXPORTER_OTLP_CLIENT_KEY"));
        Ok(self)
    }

    /// Whether anything is to be sent.
    pub fn is_on(&self) -> bool {
        self.endpoint.is_some() || self.metrics_endpoint.is_some() || self.logs_endpoint.is_some()
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval.unwrap_or(Duration::from_mins(1))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    pub(super) fn logs_per_second(&self) -> u32 {
        self.logs_per_second.unwrap_or(10)
    }

    pub(super) fn max_series(&self) -> usize {
        self.max_series.unwrap_or(1000)
    }

    pub(super) fn attributes(&self) -> Vec<Label> {
        self.attributes.clone().unwrap_or_else(|| Label::DEFAULT.to_vec())
    }
}

const MILLISECONDS: &str = "a number of milliseconds above zero";

fn parsed<T>(
    get: impl Fn(&'static str) -> Option<String>,
    variable: &'static str,
    allowed: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = get(variable) else { return Ok(None) };
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(SettingsError::Variable { variable, value, allowed }),
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "grpc" => Some(Protocol::Grpc),
        "http" | "http/protobuf" => Some(Protocol::Http),
        _ => None,
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

/// A duration as [`crate::units::parse_duration`] reads it.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::units::parse_duration;

    #[expect(clippy::ref_option, reason = "serde wants it so")]
    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(value) = value else { return serializer.serialize_none() };
        let millis = value.as_millis();
        let text =
            if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") };
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Some).map_err(|error| de::Error::custom(format!("{text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ALL: &str = r#"
endpoint = "http://collector:4317"
protocol = "http/protobuf"
interval = "30s"
timeout = "2500ms"
logs_per_second = 0
max_series = 50
attributes = ["reason", "netns"]
ca_file = "/etc/ssl/own.pem"

[headers]
authorization = "Bearer secret"
"#;

    fn with(variables: &'static [(&str, &str)], toml: &str) -> Result<Settings, SettingsError> {
        let settings: Settings = toml::from_str(toml).expect("the test's TOML");
        settings.with_environment(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_section_is_read_and_written_without_its_secrets() {
        let settings: Settings = toml::from_str(ALL).unwrap();
        assert_eq!(settings.headers.0["authorization"], "Bearer secret");
        assert!(!format!("{settings:?}").contains("secret"));
        insta::assert_snapshot!(toml::to_string(&settings).unwrap(), @r#"
        endpoint = "http://collector:4317"
        protocol = "http"
        interval = "30s"
        timeout = "2500ms"
        logs_per_second = 0
        max_series = 50
        attributes = ["reason", "netns"]
        ca_file = "/etc/ssl/own.pem"

        [headers]
        authorization = "…"
        "#);
    }

    #[rstest]
    #[case("endpont = 'x'", "unknown field `endpont`")]
    #[case("interval = '0s'", "it must be more than zero")]
    #[case("protocol = 'http/json'", "unknown variant `http/json`")]
    #[case("attributes = ['flow']", "unknown variant `flow`")]
    fn what_is_wrong_is_said(#[case] toml: &str, #[case] expected: &str) {
        let error = toml::from_str::<Settings>(toml).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_environment_fills_what_is_open() {
        let variables = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://e:4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs/otlp/v1/logs"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20e,x=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ];
        let settings = with(variables, "[headers]\nx = '2'").unwrap();
        assert_eq!(settings.endpoint.as_deref(), Some("http://e:4318"));
        assert_eq!(settings.logs_endpoint.as_deref(), Some("http://logs/otlp/v1/logs"));
        assert_eq!(settings.protocol, Some(Protocol::Http));
        assert_eq!(settings.headers.0["authorization"], "Bearer e");
        assert_eq!(settings.headers.0["x"], "2");
        assert_eq!(settings.timeout(), Duration::from_millis(1500));
        assert_eq!(settings.interval(), Duration::from_secs(1));
        assert_eq!(settings.ca_file, Some("/ca.pem".into()));
        let settings = with(variables, "endpoint = 'http://c'\nprotocol = 'grpc'\ntimeout = '3s'").unwrap();
        assert_eq!(settings.endpoint.as_deref(), Some("http://c"));
        assert_eq!(settings.logs_endpoint, None, "the configuration's endpoint is for both");
        assert_eq!((settings.protocol, settings.timeout()), (Some(Protocol::Grpc), Duration::from_secs(3)));
    }

    #[test]
    fn what_the_environment_cannot_mean_is_an_error() {
        let error = with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], "").unwrap_err();
        insta::assert_snapshot!(error, @r#"OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": write grpc or http/protobuf, or unset it"#);
        let error = with(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], "").unwrap_err();
        insta::assert_snapshot!(error, @r#"OTEL_EXPORTER_OTLP_TIMEOUT is "10s": write a number of milliseconds above zero, or unset it"#);
    }

    #[test]
    fn nothing_is_sent_unless_told_where() {
        assert!(!with(&[], "").unwrap().is_on());
        let off = &[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://e")];
        assert!(!with(off, "").unwrap().is_on());
        assert!(with(off, "endpoint = 'http://c'").unwrap().is_on());
    }
}
