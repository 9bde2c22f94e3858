//! `/metrics`: what Prometheus and `OpenMetrics` scrapers read.
//!
//! The daemon's loop gives each summary to [`Metrics::record`] once, before it publishes it. Whoever is asked for
//! `/metrics` takes [`Metrics::scrape`]; it has the kernel's counters read first.

mod encoder;
mod label;
mod own;
mod series;
mod tcp;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use encoder::{Encoder, Kind};
pub use label::{Label, dimensions};
pub use own::Own;
use serde::{Deserialize, Serialize};
pub use series::{OTHER, Series};

use super::examination::Examination;
use super::hub::{Gone, Hub};
use super::otlp;
use crate::model::{Accounts, Summary, Timestamp};

/// How the metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The labels of drops. Addresses and ports become labels only when they are named here, and are estimates then.
    pub labels: Vec<Label>,
    /// Series a metric at most; what comes when there are as many is summed in one of them, `other`.
    pub max_series: usize,
    /// Write the metrics into this file at each interval too, for `node_exporter`'s textfile collector; empty: don't.
    pub file: std::path::PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { labels: Label::DEFAULT.to_vec(), max_series: 1000, file: std::path::PathBuf::new() }
    }
}

/// What never changes while the daemon runs, but by a re-attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// netdrop's version.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// How the program is attached: `tp_btf` or `raw_tracepoint`.
    pub attached_as: String,
    /// What this kernel gives, and what it lacks.
    pub features: Vec<(&'static str, bool)>,
}

/// A count of what was lost at one stage; its owner adds to it.
pub type Stage = Arc<AtomicU64>;

/// The metrics' state; cheap to clone, and all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    series: Series,
    total: Accounts,
    about: About,
    stages: Vec<(&'static str, Stage)>,
    exports: Option<Arc<otlp::Stats>>,
    /// Where it is asked for; it stays when it no longer is, as counters don't go.
    tcp: Option<tcp::Tcp>,
    /// What the doctor found last, where it is asked.
    examination: Option<Arc<Examination>>,
    reattached: u64,
    reloads: [u64; 2],
    up: bool,
    started: Timestamp,
}

impl Metrics {
    /// Nothing is counted yet.
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(Mutex::new(State {
            series: Series::new(&settings.labels, settings.max_series),
            total: Accounts::default(),
            about: About::default(),
            stages: Vec::new(),
            exports: None,
            tcp: None,
            examination: None,
            reattached: 0,
            reloads: [0; 2],
            up: false,
            started: Timestamp::now(),
        })))
    }

    /// Takes a summary; the loop calls it once for each.
    pub fn record(&self, summary: &Summary) {
        let mut state = self.state();
        state.series.record(&summary.rows);
        state.total = summary.total;
        if let Some(tcp) = &summary.tcp {
            state.tcp = Some(tcp::Tcp::new(tcp));
        }
    }

    /// Other labels or limits from here on; no count is lost.
    pub fn change(&self, settings: &Settings) {
        self.state().series.change(&settings.labels, settings.max_series);
    }

    /// The stage `name` of `netdrop_events_lost_total`; made when it is asked for first.
    pub fn stage(&self, name: &'static str) -> Stage {
        let mut state = self.state();
        if let Some((_, stage)) = state.stages.iter().find(|(known, _)| *known == name) {
            return Arc::clone(stage);
        }
        let new = Stage::default();
        state.stages.push((name, Arc::clone(&new)));
        new
    }

    /// What is sent by OTLP is told too.
    pub fn with_exports(&self, stats: Arc<otlp::Stats>) {
        self.state().exports = Some(stats);
    }

    /// What is to be said of the attached program.
    pub fn about(&self) -> About {
        self.state().about.clone()
    }

    /// The program is attached, and this is to be said of it.
    pub fn attached(&self, about: About) {
        let mut state = self.state();
        state.up = true;
        state.about = about;
    }

    /// The program was lost, or is attached again.
    pub fn set_attached(&self, attached: bool) {
        self.state().up = attached;
    }

    /// The program was lost and is attached again.
    pub fn reattached(&self) {
        self.state().reattached += 1;
    }

    /// The settings were read again.
    pub fn reloaded(&self, well: bool) {
        self.state().reloads[usize::from(well)] += 1;
    }

    /// The doctor has looked again.
    pub fn examined(&self, examination: Examination) {
        self.state().examination = Some(Arc::new(examination));
    }

    /// What the doctor found last.
    pub fn examination(&self) -> Option<Arc<Examination>> {
        self.state().examination.clone()
    }

    /// Whether the program is attached.
    pub fn is_attached(&self) -> bool {
        self.state().up
    }

    /// Has the kernel's counters read, and writes all metrics.
    ///
    /// # Errors
    /// When the daemon's loop has ended.
    pub async fn scrape(&self, hub: &Hub, format: Format) -> Result<String, Gone> {
        hub.fresh().await?;
        Ok(self.encode(format))
    }

    /// Writes all metrics as of the last summary.
    pub fn encode(&self, format: Format) -> String {
        encode(&self.state(), &Own::read(), format)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Sums are whole whatever happened to the thread that held them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(state: &State, own: &Own, format: Format) -> String {
    let mut to = Encoder::new(format);
    drops(state, &mut to);
    accounts(&state.total, &mut to);
    lost(state, &mut to);
    exports(state, &mut to);
    if let Some(tcp) = &state.tcp {
        tcp.encode(&mut to);
    }
    if let Some(examination) = &state.examination {
        examination.encode(&mut to);
    }
    about(state, &mut to);
    daemon(state, &mut to);
    #[expect(clippy::cast_precision_loss, reason = "to the microsecond is enough")]
    own.encode(state.started.0 as f64 / 1e9, &mut to);
    to.finish()
}

fn drops(state: &State, to: &mut Encoder) {
    let names = state.series.names();
    let labels = |values: Vec<_>| names.clone().zip(values).collect::<Vec<_>>();
    to.metric("netdrop_drops", Kind::Counter, "", "Packets that the kernel dropped, counted in the kernel.");
    for (values, counts) in state.series.iter() {
        to.sample(labels(values), counts.packets);
    }
    to.metric("netdrop_drop_bytes", Kind::Counter, "bytes", "Bytes of the packets that the kernel dropped.");
    for (values, counts) in state.series.iter() {
        to.sample(labels(values), counts.bytes);
    }
    let help = "Series of netdrop_drops_total; at metrics.max_series what comes is summed in one, other.";
    to.single("netdrop_drop_series", Kind::Gauge, "", help, state.series.count());
}

/// Where each drop that the program saw went: the last four sum to the first.
fn accounts(total: &Accounts, to: &mut Encoder) {
    let help = "Drops that the program saw, before any filter.";
    to.single("netdrop_drops_seen", Kind::Counter, "", help, total.seen);
    let help = "Drops that the filter left out; they are in no series.";
    to.single("netdrop_drops_filtered", Kind::Counter, "", help, total.filtered);
    let help = "Drops whose details were sent to user space.";
    to.single("netdrop_drops_detailed", Kind::Counter, "", help, total.detailed);
    let help = "Drops that were counted without details, as capture.rate asks for.";
    to.single("netdrop_drops_sampled_out", Kind::Counter, "", help, total.sampled_out);
}

/// Every place where something can be lost, also those where nothing was.
fn lost(state: &State, to: &mut Encoder) {
    let total = &state.total;
    to.metric(
        "netdrop_events_lost",
        Kind::Counter,
        "",
        "What was lost on the way, by stage. Of table_full and recursion_misses even the count is in no series.",
    );
    for (stage, count) in [
        ("ring_full", total.ring_full),
        ("table_full", total.table_full),
        ("recursion_misses", total.recursion_misses),
        ("stackless", total.stackless),
    ] {
        to.sample([("stage", stage)], count);
    }
    for (stage, count) in state.tcp.iter().flat_map(tcp::Tcp::lost) {
        to.sample([("stage", stage)], count);
    }
    for (stage, count) in &state.stages {
        to.sample([("stage", *stage)], count.load(Ordering::Relaxed));
    }
    for (stage, count) in state.exports.iter().flat_map(|stats| stats.lost()) {
        to.sample([("stage", stage)], count);
    }
}

/// What receivers took of the metrics, and what not.
fn exports(state: &State, to: &mut Encoder) {
    let Some(sent) = &state.exports else { return };
    to.metric("netdrop_otlp_exports", Kind::Counter, "", "How often metrics were sent by OTLP.");
    for (result, count) in [("done", &sent.metrics_exports), ("failed", &sent.metrics_failures)] {
        to.sample([("result", result)], count.load(Ordering::Relaxed));
    }
    let help = "Drops that were sent by OTLP as log records, and taken.";
    to.single(
        "netdrop_otlp_log_records",
        Kind::Counter,
        "",
        help,
        sent.logs_exported.load(Ordering::Relaxed),
    );
}

fn about(state: &State, to: &mut Encoder) {
    let About { version, kernel, attached_as, features } = &state.about;
    to.metric("netdrop_build", Kind::Info, "", "The netdrop that runs.");
    to.sample([("version", version.as_str())], 1);
    to.metric("netdrop_kernel", Kind::Info, "", "The kernel, and how netdrop is attached to it.");
    to.sample([("release", kernel.as_str()), ("attached_as", attached_as)], 1);
    to.metric("netdrop_feature", Kind::Gauge, "", "What this kernel gives (1) and what it lacks (0).");
    for (feature, given) in features {
        to.sample([("feature", *feature)], u8::from(*given));
    }
}

fn daemon(state: &State, to: &mut Encoder) {
    let help = "Whether the program is attached.";
    to.single("netdrop_attached", Kind::Gauge, "", help, u8::from(state.up));
    let help = "How often the program was found lost, and attached again.";
    to.single("netdrop_reattached", Kind::Counter, "", help, state.reattached);
    to.metric("netdrop_config_reloads", Kind::Counter, "", "How often the settings were read again.");
    for (result, count) in ["failed", "done"].into_iter().zip(state.reloads) {
        to.sample([("result", result)], count);
    }
}

#[cfg(test)]
mod tests;
