//! The section `[http]` of the settings.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Address, HttpError};

/// Where the server listens, who may ask, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Addresses; none switches the server off. Beyond loopback, `tls_cert`, `tls_key` and `token_file` are needed.
    pub listen: Vec<Address>,
    /// The certificate and its chain, PEM; read again on reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// A file with the token that clients must show (`Authorization: Bearer …`, RFC 6750); read again on reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Listens beyond loopback without TLS or token: anybody who can connect reads addresses of this machine's packets.
    pub insecure: bool,
    /// Connections at a time; more are closed at once.
    pub max_connections: usize,
    /// Clients of `/api/v1/stream` (the status page is one) at a time; fewer than connections, so that metrics can be read.
    pub max_streams: usize,
    /// Time in which a request's head must be complete, and for which a connection may be idle between two.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// Time without progress after which a client that does not read its answer is given up.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// Detailed drops that are kept for who asks later, 1024 at most; with 0 only those since somebody watches.
    pub recent_drops: usize,
}

impl Default for Settings {
    /// Outside of 9100 to 9999, all of which Prometheus' exporters have taken: DROP on a telephone's keys.
    fn default() -> Self {
        Self {
            listen: vec![Address::Tcp(([127, 0, 0, 1], 13767).into())],
            tls_cert: None,
            tls_key: None,
            token_file: None,
            insecure: false,
            max_connections: 64,
            max_streams: 16,
            header_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(20),
            recent_drops: 500,
        }
    }
}

impl Settings {
    /// Whether they fit together.
    ///
    /// # Errors
    /// Names what doesn't, and what to do.
    pub fn check(&self) -> Result<(), HttpError> {
        let half = |have, lacks| Err(HttpError::Half { have, lacks });
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return half("tls_cert", "tls_key"),
            (None, Some(_)) => return half("tls_key", "tls_cert"),
            _ => {}
        }
        let protected = self.tls_cert.is_some() && self.token_file.is_some();
        let beyond = self.listen.iter().find(|address| address.is_beyond_loopback());
        if let Some(address) = beyond.filter(|_| !protected && !self.insecure) {
            return Err(HttpError::Open(address.clone()));
        }
        let limit = |name, why| Err(HttpError::Limit { name, why });
        if self.max_connections == 0 {
            return limit("max_connections", "must be 1 or more; an empty `listen` switches the server off");
        }
        if self.max_streams >= self.max_connections {
            return limit(
                "max_streams",
                "must be less than max_connections: streams last, and would take all",
            );
        }
        Ok(())
    }

    /// Whether only this machine's processes can connect.
    pub(super) fn is_local(&self) -> bool {
        !self.listen.iter().any(Address::is_beyond_loopback)
    }
}

/// Durations as people write them: `20s`, `500ms`.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::units::parse_duration;

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match (duration.as_secs(), duration.subsec_nanos()) {
            (seconds, 0) => serializer.collect_str(&format_args!("{seconds}s")),
            _ => serializer.collect_str(&format_args!("{}ms", duration.as_millis())),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use rstest::rstest;

    use super::*;

    #[test]
    fn as_toml() {
        let all = Settings {
            tls_cert: Some("/etc/netdrop/tls.crt".into()),
            header_timeout: Duration::from_millis(1500),
            ..Settings::default()
        };
        let text = toml::to_string(&all).unwrap();
        assert_snapshot!(text, @r#"
        listen = ["127.0.0.1:13767"]
        tls_cert = "/etc/netdrop/tls.crt"
        insecure = false
        max_connections = 64
        max_streams = 16
        header_timeout = "1500ms"
        write_timeout = "20s"
        recent_drops = 500
        "#);
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), all);
    }

    #[rstest]
    #[case("", None)]
    #[case("listen = []", None)]
    #[case("listen = ['127.0.0.1:1', '[::1]:1', 'unix:/run/x']", None)]
    #[case("listen = ['0.0.0.0:1']\ninsecure = true", None)]
    #[case("listen = ['0.0.0.0:1']\ntls_cert = 'c'\ntls_key = 'k'\ntoken_file = 't'", None)]
    #[case("listen = ['127.0.0.1:1', '0.0.0.0:1']", Some("0.0.0.0:1"))]
    #[case("listen = ['[::]:1']\ntoken_file = 't'", Some("[::]:1"))]
    #[case("listen = ['[::]:1']\ntls_cert = 'c'\ntls_key = 'k'", Some("[::]:1"))]
    #[case("tls_cert = 'c'", Some("tls_key"))]
    #[case("tls_key = 'k'", Some("tls_cert"))]
    #[case("max_connections = 0", Some("max_connections"))]
    #[case("max_connections = 4\nmax_streams = 4", Some("max_streams"))]
    fn what_fits_together(#[case] text: &str, #[case] named: Option<&str>) {
        let settings: Settings = toml::from_str(text).unwrap();
        match (settings.check(), named) {
            (Ok(()), None) => {}
            (Err(error), Some(named)) => assert!(error.to_string().contains(named), "{error}"),
            (result, _) => panic!("{text}: {result:?}"),
        }
    }

    #[rstest]
    #[case("port = 1", "unknown field `port`")]
    #[case("listen = ['x']", "`x` is no address")]
    #[case("header_timeout = 'soon'", "soon")]
    #[case("header_timeout = '0s'", "more than zero")]
    #[case("write_timeout = '0s'", "more than zero")]
    #[case("max_streams = -1", "-1")]
    fn what_is_refused(#[case] text: &str, #[case] told: &str) {
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
