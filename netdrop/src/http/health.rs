//! `/healthz` and `/readyz`, for whoever restarts or routes by them.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use super::router::Context;

/// Time in which the loop must give fresh counters.
const PATIENCE: Duration = Duration::from_secs(2);
/// Probes may come often.
const SHARED: Duration = Duration::from_secs(1);

/// The process lives: it answers.
pub(super) async fn alive() -> Response {
    plain(StatusCode::OK, "ok\n".into())
}

/// The program is attached, and the loop reads its counters.
pub(super) async fn ready(State(shared): Context) -> Response {
    let read = timeout(PATIENCE, shared.readings.fresh(SHARED)).await;
    let state = match read {
        Ok(Ok(_)) => (shared.served.ready)(),
        Ok(Err(gone)) => Err(gone.to_string()),
        Err(_) => Err(format!("the counters were not read within {} s", PATIENCE.as_secs())),
    };
    match state {
        Ok(()) => plain(StatusCode::OK, "ready\n".into()),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
