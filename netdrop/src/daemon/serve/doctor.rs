//! Has the doctor look again and again: it reads the kernel's counters in a thread of its own, and gets the drops of the same time from the hub.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::daemon::{Examiner, Where};
use crate::doctor::all;
use crate::export::metrics::Metrics;
use crate::export::{Examination, Hub};
use crate::http::window::since;
use crate::model::Summary;

/// The first examination doesn't keep anybody waiting for a whole interval.
const FIRST: Duration = Duration::from_secs(10);

/// Examines each `every` until `ended`. It starts a thread: to be called within the sandbox.
pub async fn run(every: Duration, hub: Hub, metrics: Metrics, ended: impl Future<Output = ()>) {
    let examiner = match Examiner::start(all().collect(), Where::Here) {
        Ok(examiner) => examiner,
        Err(error) => return warn!("the doctor can't be asked: {error}"),
    };
    // Metrics have their names from the start.
    metrics.examined(Examination::none());
    let mut ticks = interval_at(Instant::now() + FIRST.min(every), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Arc::new(Summary::default());
    let again = async {
        loop {
            ticks.tick().await;
            // Without either there is nobody left to tell.
            let Ok(summary) = hub.fresh().await else { return };
            let rows = since(&last, &summary).rows;
            let Ok(answer) = examiner.ask(rows).await else { return warn!("the doctor has failed") };
            let seconds = (answer.lasted.as_secs_f64() * 1000.0).round() / 1000.0;
            metrics.examined(Examination::new(&answer.diagnosis, &answer.homes, seconds));
            last = summary;
        }
    };
    tokio::select! {
        () = again => {}
        () = ended => {}
    }
}
