//! OTLP/HTTP: a POST with a protobuf message (OTLP specification, "OTLP/HTTP").

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::endpoint::{Dial, Endpoint};
use super::error::SettingsError;
use super::retry::Retry;
use super::transport::{self, Failure, MOST_OF_AN_ANSWER};
use crate::model::Timestamp;

const PROTOBUF: &str = "application/x-protobuf";

/// A receiver by HTTP/1.1, with one connection that is kept between requests.
pub(super) struct Http {
    dial: Dial,
    path: Uri,
    headers: HeaderMap,
    open: Option<Open>,
}

/// A connection, and the task that drives it: it ends when this is dropped.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Http {
    pub fn new(endpoint: &Endpoint, dial: Dial, mut headers: HeaderMap) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Endpoint(endpoint.to_string());
        let path = endpoint.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = endpoint.uri.authority().ok_or_else(wrong)?.as_str();
        headers.insert(HOST, host.parse().map_err(|_| wrong())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(USER_AGENT, HeaderValue::from_static(transport::USER_AGENT));
        Ok(Self { dial, path: path.parse().map_err(|_| wrong())?, headers, open: None })
    }

    /// Posts `body` and gives the answer's. A connection is kept only after an answer that was read to its end: what is cut
    /// off, by a timeout too, is closed.
    pub async fn send(&mut self, body: Bytes) -> Result<Bytes, Failure> {
        if let Some(open) = self.open.take().filter(|open| !open.sender.is_closed()) {
            let answer = self.exchange(open, body.clone()).await;
            match answer {
                // The receiver closed it while nothing was sent, and this request met that.
                Err(Exchange::Connection(_)) => {}
                answer => return answer.map_err(Into::into),
            }
        }
        let open = self.connect().await?;
        Ok(self.exchange(open, body).await?)
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let stream =
            (self.dial)().await.map_err(|error| Failure::later(format!("cannot connect: {error}")))?;
        let mut builder = Builder::new();
        builder.max_buf_size(MOST_OF_AN_ANSWER);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::later(error.to_string()))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // The request that meets the error tells it.
            let _ = connection.await;
        });
        Ok(Open { sender, _driver: driver })
    }

    async fn exchange(&mut self, mut open: Open, body: Bytes) -> Result<Bytes, Exchange> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        open.sender.ready().await.map_err(Exchange::Connection)?;
        let response = open.sender.send_request(request).await.map_err(Exchange::Connection)?;
        let body = accepted(response).map_err(Exchange::Answer)?;
        let body = Limited::new(body, MOST_OF_AN_ANSWER).collect().await;
        // Some that was read, and more than any receiver says or less than it announced.
        let body = body.map_err(|error| Exchange::Answer(Failure::never(format!("the answer: {error}"))))?;
        self.open = Some(open);
        Ok(body.to_bytes())
    }
}

/// What can fail in an exchange.
enum Exchange {
    /// There was no answer.
    Connection(hyper::Error),
    /// There was one.
    Answer(Failure),
}

impl From<Exchange> for Failure {
    fn from(exchange: Exchange) -> Self {
        match exchange {
            Exchange::Connection(error) => Self::later(error.to_string()),
            Exchange::Answer(failure) => failure,
        }
    }
}

/// The body of an answer that says yes. Redirects are not followed: the headers are for the one receiver.
fn accepted(response: Response<Incoming>) -> Result<Incoming, Failure> {
    let status = response.status();
    let retry = match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            after.and_then(|text| retry_after(text, Timestamp::now())).map_or(Retry::Later, Retry::After)
        }
        _ => Retry::Never,
    };
    if !status.is_success() {
        return Err(Failure { why: format!("the receiver answered {status}"), retry });
    }
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // Some that have nothing to say leave its type out; a page of text is none of a receiver's.
    match kind {
        Some(kind) if !kind.starts_with(PROTOBUF.as_bytes()) && !is_empty(&response) => {
            let kind = String::from_utf8_lossy(&kind[..kind.len().min(64)]).into_owned();
            Err(Failure::never(format!("the answer is {kind:?}, none of an OTLP receiver")))
        }
        _ => Ok(response.into_body()),
    }
}

fn is_empty(response: &Response<Incoming>) -> bool {
    hyper::body::Body::size_hint(response.body()).exact() == Some(0)
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let at = u64::try_from(date.as_nanosecond()).ok()?;
    Some(Duration::from_nanos(at.saturating_sub(now.0)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("7", Some(7))]
    #[case("Sun, 22 Nov 2026 13:00:10 GMT", Some(10))]
    #[case("Sun, 22 Nov 2026 12:00:00 GMT", Some(0))]
    #[case("soon", None)]
    #[case("-1", None)]
    #[case("", None)]
    fn retry_after_is_seconds_or_a_date(#[case] text: &str, #[case] seconds: Option<u64>) {
        let now = "2026-11-22T13:00:00Z".parse::<jiff::Timestamp>().unwrap();
        let now = Timestamp(u64::try_from(now.as_nanosecond()).unwrap());
        assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs));
    }
}
