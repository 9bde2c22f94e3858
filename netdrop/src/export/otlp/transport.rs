//! One export to one receiver: a request, and what is made of its answer.
//!
//! Whatever a receiver does, it takes no longer than the timeout and no more memory than a bounded answer; a connection over which
//! anything went wrong is closed.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use tokio::time::timeout;

use super::endpoint::{Dial, Endpoint};
use super::error::SettingsError;
use super::grpc::Grpc;
use super::http::Http;
use super::retry::Retry;
use super::settings::{Headers, Protocol};

/// A receiver's answer is some bytes; this much is read of it, of its headers as well.
pub(super) const MOST_OF_AN_ANSWER: usize = 64 << 10;

/// What a receiver is told of who sends.
pub(super) const USER_AGENT: &str = concat!("netdrop/", env!("CARGO_PKG_VERSION"));

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Metrics,
    Logs,
}

/// A receiver that took the data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How many data points or log records it left out.
    pub rejected: u64,
    /// Why; or a warning where it left none out.
    pub message: String,
}

/// An export that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What went wrong, for people.
    pub why: String,
    /// Whether it may be tried again.
    pub retry: Retry,
}

impl Failure {
    /// One that may pass.
    pub fn later(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry: Retry::Later }
    }

    /// One that will not.
    pub fn never(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry: Retry::Never }
    }
}

/// The way to a receiver of one signal.
pub(super) struct Transport {
    way: Way,
    timeout: Duration,
    /// For messages.
    pub endpoint: Endpoint,
}

enum Way {
    Grpc(Box<Grpc>),
    Http(Box<Http>),
}

impl Transport {
    /// Connects at the first export, by `dial`.
    pub fn new(
        protocol: Protocol,
        signal: Signal,
        endpoint: Endpoint,
        dial: Dial,
        headers: &Headers,
        timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let headers = header_map(headers)?;
        let way = match protocol {
            Protocol::Grpc => Way::Grpc(Box::new(Grpc::new(signal, &endpoint, dial, headers)?)),
            Protocol::Http => Way::Http(Box::new(Http::new(&endpoint, dial, headers)?)),
        };
        Ok(Self { way, timeout, endpoint })
    }

    /// Sends one request; `body` is the encoded message.
    pub async fn send(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let sending = async {
            match &mut self.way {
                Way::Grpc(grpc) => grpc.send(body).await,
                Way::Http(http) => http.send(body).await,
            }
        };
        match timeout(self.timeout, sending).await {
            Ok(answer) => answer_of(&answer?),
            Err(_) => Err(Failure::later(format!("no answer within {:?}", self.timeout))),
        }
    }
}

/// The answers to metrics and to logs have one form, with other names.
fn answer_of(bytes: &Bytes) -> Result<Answer, Failure> {
    let Ok(ExportLogsServiceResponse { partial_success }) = Message::decode(&bytes[..]) else {
        return Err(Failure::never("the answer is none of an OTLP receiver"));
    };
    let ExportLogsPartialSuccess { rejected_log_records, error_message } =
        partial_success.unwrap_or_default();
    Ok(Answer { rejected: u64::try_from(rejected_log_records).unwrap_or(0), message: error_message })
}

fn header_map(headers: &Headers) -> Result<HeaderMap, SettingsError> {
    let mut map = HeaderMap::new();
    for (name, value) in &headers.0 {
        let wrong = || SettingsError::Header(name.clone());
        let key: HeaderName = name.to_ascii_lowercase().parse().map_err(|_| wrong())?;
        let mut value: HeaderValue = value.parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}
