//! A receiver's URL, and a connection to it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::SettingsError;

/// A connection: TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that comes about.
pub(super) type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Makes connections to one receiver.
pub(super) type Dial = Arc<dyn Fn() -> Dialling + Send + Sync>;

/// Where to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme, host, port if it was given, path without a slash at its end.
    pub uri: Uri,
    host: String,
}

impl Endpoint {
    /// Reads `http://host:port/path` or `https://…`.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Endpoint(text.to_owned());
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or_else(wrong)?;
        // A name and a password would be shown in messages: headers are the place for them.
        if !is_http || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong());
        }
        // A port that is none is part of the authority all the same.
        if authority.port_u16().is_none() && authority.as_str() != authority.host() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { uri, host })
    }

    /// The same receiver with `path` added to its path.
    pub fn below(&self, path: &str) -> Result<Self, SettingsError> {
        Self::parse(&format!("{}{path}", self.to_string().trim_end_matches('/')))
    }

    /// Whether TLS is asked for.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// How to connect: with TLS as `tls` has it.
    pub fn dial(&self, tls: Option<ClientConfig>) -> Result<Dial, SettingsError> {
        let (host, port) = (self.host.clone(), self.port());
        let tls = match tls {
            None => None,
            Some(config) => {
                let wrong = |_| SettingsError::Endpoint(self.to_string());
                let name = ServerName::try_from(host.clone()).map_err(wrong)?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Arc::new(move || {
            let (host, tls) = (host.clone(), tls.clone());
            Box::pin(async move {
                let tcp = TcpStream::connect((host.as_str(), port)).await?;
                tcp.set_nodelay(true)?;
                match tls {
                    None => Ok(Box::new(tcp) as Box<dyn Stream>),
                    Some((tls, name)) => Ok(Box::new(tls.connect(name, tcp).await?) as Box<dyn Stream>),
                }
            })
        }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.uri.to_string();
        f.write_str(text.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://collector:4317", "collector", 4317, "http://collector:4317/v1/logs")]
    #[case("https://o.example", "o.example", 443, "https://o.example/v1/logs")]
    #[case("http://[::1]/otlp/", "::1", 80, "http://[::1]/otlp/v1/logs")]
    fn a_url_is_an_endpoint(#[case] text: &str, #[case] host: &str, #[case] port: u16, #[case] below: &str) {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port()), (host, port));
        assert_eq!(endpoint.below("/v1/logs").unwrap().to_string(), below);
    }

    #[rstest]
    #[case("collector:4317")]
    #[case("grpc://collector:4317")]
    #[case("http://")]
    #[case("http://a:b@collector")]
    #[case("http://collector/?token=x")]
    #[case("http://collector:99999")]
    #[case("")]
    fn anything_else_is_not(#[case] text: &str) {
        let error = Endpoint::parse(text).and_then(|endpoint| endpoint.dial(None).map(|_| endpoint));
        assert!(error.is_err(), "{error:?}");
    }
}
