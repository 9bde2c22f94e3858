//! What stands before every route: the token, the host's name, the time that an answer may take, and the headers of every
//! response.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use super::Secrets;
use super::answer::Refusal;
use super::counters::{Counters, REQUEST, UNAUTHORIZED};

/// Time until an answer begins. The loop answers in milliseconds; one that doesn't is in trouble.
const ANSWER: Duration = Duration::from_secs(10);

/// What needs no token: the page without data, which asks for the token, and what probes ask.
const PUBLIC: [&str; 3] = ["/", "/healthz", "/readyz"];

/// Of responses that say nothing else.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Who is let in.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) secrets: Secrets,
    pub(super) counters: Arc<Counters>,
    /// Whether the server must be called by an address or `localhost`.
    pub(super) only_local_names: bool,
}

impl Door {
    /// Puts the door before `router`. `is_local` when only this machine can connect.
    pub(super) fn before(&self, router: Router, is_local: bool) -> Router {
        let door = Self { only_local_names: is_local, ..self.clone() };
        router.layer(from_fn_with_state(door, pass))
    }

    fn judge(&self, request: &Request) -> Result<(), Refusal> {
        // Browsers let a page of example.net read from what example.net resolves to, and its owner may say 127.0.0.1 (DNS
        // rebinding). Who must show a token is not reached that way.
        if self.only_local_names && !self.secrets.has_token() && !is_local_name(request.headers()) {
            let message =
                "called by a name that is neither an IP address nor localhost; set token_file to allow any";
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, message));
        }
        let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        if !PUBLIC.contains(&request.uri().path()) && !self.secrets.allow(authorization) {
            self.counters.count(UNAUTHORIZED);
            let refusal =
                Refusal::new(StatusCode::UNAUTHORIZED, "needs the header `Authorization: Bearer TOKEN`");
            return Err(refusal.with(header::WWW_AUTHENTICATE, "Bearer realm=\"netdrop\""));
        }
        Ok(())
    }
}

async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    door.counters.count(REQUEST);
    let mut response = match door.judge(&request) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => timeout(ANSWER, next.run(request)).await.unwrap_or_else(|_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon took too long to answer")
                .into_response()
        }),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether the host that is called is an address or `localhost`; HTTP/1.0 calls none.
fn is_local_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("localhost", true)]
    #[case("LocalHost:13767", true)]
    #[case("127.0.0.1:13767", true)]
    #[case("[::1]:13767", true)]
    #[case("192.0.2.1", true)]
    #[case("example.net", false)]
    #[case("localhost.example.net", false)]
    #[case("127.0.0.1.example.net:80", false)]
    #[case("", false)]
    #[case("a b", false)]
    fn names_of_this_machine(#[case] host: &str, #[case] local: bool) {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        assert_eq!(is_local_name(&headers), local);
    }
}
