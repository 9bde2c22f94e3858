//! The daemon's web server: metrics, a JSON API, a live status page, health. It reads the hub and nothing else, on the daemon's
//! own thread.
//!
//! [`bind`] opens the sockets and reads certificate and token, while the process may still do so; [`run`] serves them. Nobody
//! connected means nothing to do: there is no timer and no task but those that wait for a connection. Everything that a client
//! can make grow has a limit in [`Settings`].

mod address;
mod answer;
mod api;
mod body;
mod connection;
mod counters;
mod drops;
mod error;
mod explain;
mod guard;
mod health;
mod listen;
mod metrics;
mod page;
mod patience;
mod readings;
mod recent;
mod router;
mod secrets;
mod settings;
mod stream;
pub(crate) mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use address::{Address, NoAddress};
pub use counters::Counters;
pub use error::HttpError;
pub use listen::{Bound, bind};
pub use metrics::Metrics;
pub use router::Build;
pub use secrets::Secrets;
pub use settings::Settings;

use crate::export::{Found, Hub};

/// Says what is not as it should be, in one sentence; nothing when all is well.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What is served.
#[derive(Clone)]
pub struct Served {
    /// Counts and drops.
    pub hub: Hub,
    /// The body of `/metrics`.
    pub metrics: Metrics,
    /// What `/api/v1/findings` tells.
    pub findings: Found,
    /// What `/readyz` asks besides the loop itself, which must answer with fresh counters.
    pub ready: Ready,
    /// What `/api/v1/build` tells.
    pub build: Build,
}

/// Serves until `shutdown` is done, then gives open connections a second to end. Must run in a tokio runtime; one thread is
/// enough.
///
/// # Errors
/// When a socket can't be watched by the runtime.
pub async fn run(bound: Bound, served: Served, shutdown: impl Future<Output = ()>) -> Result<(), HttpError> {
    connection::run(bound, served, shutdown).await
}
