//! `/api/v1/summary` and `/api/v1/build`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::answer::{Refusal, json_text};
use super::router::Context;
use super::window::since_start;
use crate::export::Examination;
use crate::model::Summary;
use crate::output::Json;

/// Who asks more often is given the same counters again.
pub(super) const SHARED: Duration = Duration::from_millis(100);

/// All counts since the start, read from the kernel for this request: a `summary` of the schema.
pub(super) async fn summary(State(shared): Context) -> Result<Response, Refusal> {
    let summary = shared.readings.fresh(SHARED).await?;
    let explanations = (shared.served.findings)().map(|found| Arc::clone(&found.explanations));
    let findings = explanations.unwrap_or_default();
    Ok(json_text(written(&Summary { findings, ..since_start(&summary) })))
}

/// What the doctor found in its last examination: a `doctor.report` of the schema.
pub(super) async fn findings(State(shared): Context) -> Response {
    let found = (shared.served.findings)();
    json_text(found.map_or_else(|| Examination::none().json, |found| found.json.clone()))
}

/// Its line, with the newline.
pub(super) fn written(summary: &Summary) -> Vec<u8> {
    let mut line = Vec::new();
    Json::new().object(summary, &mut line);
    line
}

/// What runs here.
pub(super) async fn build(State(shared): Context) -> Response {
    axum::Json(&shared.served.build).into_response()
}
