//! The routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::answer::Refusal;
use super::readings::Readings;
use super::recent::Recent;
use super::{Served, Settings, api, drops, explain, health, metrics, page, stream};

/// What runs here.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Build {
    /// netdrop's version.
    pub version: String,
    /// The host's name.
    pub host: String,
    /// The kernel's release.
    pub kernel: String,
    /// When the program was attached, RFC 3339.
    pub started: String,
    /// What this kernel has and what is switched on, by name.
    pub features: BTreeMap<String, bool>,
}

/// What the routes share.
pub(super) struct Shared {
    pub(super) served: Served,
    pub(super) readings: Readings,
    pub(super) recent: Option<Recent>,
    /// Who may still begin to watch.
    pub(super) watchers: Arc<Semaphore>,
    /// Closed when the server ends.
    pub(super) ending: watch::Receiver<()>,
}

/// What a handler is given.
pub(super) type Context = axum::extract::State<Arc<Shared>>;

pub(super) fn routes(served: Served, settings: &Settings, ending: watch::Receiver<()>) -> Router {
    let shared = Shared {
        readings: Readings::new(served.hub.clone()),
        recent: Recent::keep(&served.hub, settings.recent_drops),
        watchers: Arc::new(Semaphore::new(settings.max_streams)),
        served,
        ending,
    };
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/api/v1/summary", get(api::summary))
        .route("/api/v1/findings", get(api::findings))
        .route("/api/v1/build", get(api::build))
        .route("/api/v1/drops", get(drops::drops))
        .route("/api/v1/stream", get(stream::stream))
        .route("/api/v1/explain/{name}", get(explain::explain))
        .fallback(nothing_there)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::new(shared))
}

async fn nothing_there(uri: Uri) -> Refusal {
    let message = format!("nothing is at {}; see /, /metrics, /api/v1/summary, /api/v1/drops", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, message)
}

async fn wrong_method(method: Method) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here; all is read by GET"))
}
