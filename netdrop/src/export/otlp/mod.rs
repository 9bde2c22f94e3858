//! OTLP, OpenTelemetry's protocol: counts as metrics, sampled drops as log records, to a receiver by gRPC or HTTP.
//!
//! ```text
//! Hub::fresh ─ every interval ─→ series → points ──────────────→ transport (gRPC, HTTP)
//! Hub::drops → bucket → queue ─ 512 lines or 5 s ─→ records ─────→ transport ─→ again, with back-off
//! ```
//!
//! A receiver that is down, slow or lies costs no more than the queue (2048 lines, 2 MiB) and one batch: each export has a
//! timeout, answers are bounded, and what has no room is counted ([`Stats`]). Nothing wakes up but at the interval and for drops.

mod bucket;
mod cost;
mod endpoint;
mod error;
mod findings;
mod grpc;
mod health;
mod http;
mod label;
mod logs;
mod metrics;
mod points;
mod queue;
mod records;
mod retry;
mod series;
mod settings;
mod stats;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod value;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use endpoint::{Dial, Endpoint};
pub use error::SettingsError;
pub use label::Label;
use points::Metrics;
use series::Series;
pub use settings::{Headers, Protocol, Settings};
pub use stats::Stats;
use transport::{Signal, Transport};

use super::{Found, Hub, Resource};

/// After the end was asked for, exports may take so long.
const GRACE: Duration = Duration::from_secs(3);

/// Everything that is needed to export; nothing is connected yet.
pub struct Exporter {
    metrics: Option<(Transport, Metrics)>,
    logs: Option<(Transport, Resource)>,
    interval: Duration,
    logs_per_second: u32,
    stats: Arc<Stats>,
    found: Found,
}

impl Exporter {
    /// Checks the settings and reads the files that they name: call it before privileges are given up. Nothing where the settings
    /// have no endpoint.
    ///
    /// # Errors
    /// When the settings can't be meant, or a file can't be read.
    pub fn new(
        settings: &Settings,
        resource: Resource,
        stats: Arc<Stats>,
    ) -> Result<Option<Self>, SettingsError> {
        Self::with(settings, resource, stats, &|endpoint| {
            let protocol = match settings.protocol.unwrap_or_default() {
                Protocol::Grpc => "h2",
                Protocol::Http => "http/1.1",
            };
            let tls = endpoint.is_https().then(|| tls::client(settings, protocol)).transpose()?;
            endpoint.dial(tls)
        })
    }

    /// With connections of another kind.
    fn with(
        settings: &Settings,
        resource: Resource,
        stats: Arc<Stats>,
        dial: &dyn Fn(&Endpoint) -> Result<Dial, SettingsError>,
    ) -> Result<Option<Self>, SettingsError> {
        check(settings)?;
        if !settings.is_on() {
            return Ok(None);
        }
        let transport = |signal, endpoint: Option<Endpoint>| {
            let Some(endpoint) = endpoint else { return Ok(None) };
            let dial = dial(&endpoint)?;
            let protocol = settings.protocol.unwrap_or_default();
            Transport::new(protocol, signal, endpoint, dial, &settings.headers, settings.timeout()).map(Some)
        };
        let series = Series::new(settings.attributes(), settings.max_series());
        let metrics = transport(Signal::Metrics, receiver(settings, Signal::Metrics)?)?;
        let logs = receiver(settings, Signal::Logs)?.filter(|_| settings.logs_per_second() > 0);
        let logs = transport(Signal::Logs, logs)?;
        Ok(Some(Self {
            metrics: metrics.map(|transport| (transport, Metrics::new(series, resource.clone()))),
            logs: logs.map(|transport| (transport, resource)),
            interval: settings.interval(),
            logs_per_second: settings.logs_per_second(),
            stats,
            found: Arc::new(|| None),
        }))
    }

    /// Exports what the doctor found, too.
    #[must_use]
    pub fn with_findings(self, found: Found) -> Self {
        Self { found, ..self }
    }

    /// Exports until `shutdown`, or until the run that writes into the hub has ended; then once more, for 3 s at most. Must be called in
    /// a runtime with time and I/O; one thread will do.
    pub async fn run(self, hub: Hub, shutdown: impl Future<Output = ()>) {
        let Self { metrics, logs, interval, logs_per_second, stats, found } = self;
        let (end, ended) = watch::channel(false);
        let metrics = async {
            if let Some((transport, metrics)) = metrics {
                metrics::export(&hub, &found, metrics, transport, interval, &stats, ended.clone()).await;
            }
        };
        // Subscribed to only if they are wanted: drops without readers are not even written as lines.
        let logs = async {
            if let Some((transport, resource)) = logs {
                let drops = hub.drops();
                logs::export(drops, resource, transport, logs_per_second, &stats, ended.clone()).await;
            }
        };
        let limit = async {
            tokio::select! {
                () = shutdown => {}
                () = hub.ended() => {}
            }
            end.send_replace(true);
            sleep(GRACE).await;
        };
        tokio::select! {
            _ = async { tokio::join!(metrics, logs) } => {}
            () = limit => {}
        }
        stats.settle();
    }
}

/// The endpoint of a signal: its own as it stands, else the common one, below which HTTP has a path for each.
fn receiver(settings: &Settings, signal: Signal) -> Result<Option<Endpoint>, SettingsError> {
    let (own, path) = match signal {
        Signal::Metrics => (&settings.metrics_endpoint, "/v1/metrics"),
        Signal::Logs => (&settings.logs_endpoint, "/v1/logs"),
    };
    match (own, &settings.endpoint, settings.protocol.unwrap_or_default()) {
        (Some(own), _, _) => Endpoint::parse(own).map(Some),
        (None, Some(common), Protocol::Grpc) => Endpoint::parse(common).map(Some),
        (None, Some(common), Protocol::Http) => Endpoint::parse(common)?.below(path).map(Some),
        (None, None, _) => Ok(None),
    }
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    let least = |setting, least, holds: bool| {
        if holds { Ok(()) } else { Err(SettingsError::TooSmall { setting, least }) }
    };
    least("interval", "1s", settings.interval() >= Duration::from_secs(1))?;
    least("timeout", "100ms", settings.timeout() >= Duration::from_millis(100))?;
    least("max_series", "1", settings.max_series() >= 1)?;
    if settings.cert_file.is_some() != settings.key_file.is_some() {
        return Err(SettingsError::HalfACertificate);
    }
    Ok(())
}
