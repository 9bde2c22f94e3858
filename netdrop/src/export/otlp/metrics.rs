//! Exports the counts at each interval.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::cost::Cost;
use super::health::Health;
use super::points::Metrics;
use super::retry::{Backoff, Retry};
use super::stats::{Stats, add};
use super::transport::Transport;
use crate::export::{Found, Hub};
use crate::model::{Summary, Timestamp};

/// The loop reads its counters within milliseconds; who waits longer takes those it has.
const READING: Duration = Duration::from_secs(5);

/// Sends what the hub has, now and at each interval, and once more at the end. Nothing waits: sums are cumulative, and what
/// failed is in the next export.
pub(super) async fn export(
    hub: &Hub,
    found: &Found,
    mut metrics: Metrics,
    mut transport: Transport,
    every: Duration,
    stats: &Stats,
    mut ended: watch::Receiver<bool>,
) {
    let mut health = Health::new("metrics", transport.endpoint.clone());
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let shutdown = tokio::select! {
            _ = due.tick() => false,
            _ = ended.wait_for(|ended| *ended) => true,
        };
        let (summary, gone) = reading(hub).await;
        if summary.time != Timestamp::default() {
            let body = metrics.request(&summary, found().as_deref(), stats, Cost::now()).encode_to_vec();
            match transport.send(body.into()).await {
                Ok(answer) => {
                    add(&stats.metrics_exports, 1);
                    add(&stats.points_rejected, answer.rejected);
                    health.took(&answer);
                }
                Err(failure) => {
                    add(&stats.metrics_failures, 1);
                    health.failed(&failure.why);
                    if let Retry::After(wait) = failure.retry {
                        due.reset_at(Instant::now() + wait.clamp(every, every.max(Backoff::PATIENCE)));
                    }
                }
            }
        }
        if shutdown || gone {
            return;
        }
    }
}

/// Counters read now; where the run has ended, the last that it left.
async fn reading(hub: &Hub) -> (Arc<Summary>, bool) {
    match timeout(READING, hub.fresh()).await {
        Ok(Ok(summary)) => (summary, false),
        Ok(Err(_)) => (hub.latest(), true),
        Err(_) => (hub.latest(), false),
    }
}
