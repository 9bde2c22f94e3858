//! `netdrop serve`: the loop that reads the kernel's counters, for as long as the machine runs. It alone writes the hub
//! and the metrics; servers and exporters read those, and none of them can hold it up.

mod alarm;
mod beside;
mod doctor;
mod logs;
mod notify;
mod reload;
mod sight;
mod signals;
mod sweep;
mod tally;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netdrop_common::CounterKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

pub use beside::{Beside, needs};
pub use sight::Attached;
pub use signals::Signals;

use super::RunError;
use crate::aggregate::{Aggregator, Now};
use crate::decode::{count_key, counts as counts_of};
use crate::export::metrics::{Format, Metrics, Stage, dimensions};
use crate::export::{Asked, HubWriter};
use crate::model::tcp::TcpSummary;
use crate::model::{CountKey, Counts, Summary, Timestamp};
use crate::output::{Json, Output as _};
use crate::settings::{Capture, Settings, Sources};
use alarm::Alarm;
use logs::Logs;
use notify::Notify;
use sight::Sight;
use sweep::Sweep;
use tally::{Reading, Tally};

/// Time between two looks into the rings while drops come and somebody wants them, and while names are being read.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_FOR_NAMES: Duration = Duration::from_millis(20);

/// Attaches a program as the settings say.
pub type Attach = Box<dyn FnMut(&Capture) -> anyhow::Result<Attached>>;

/// What the daemon is given.
pub struct Service {
    /// Where settings come from, to be read again.
    pub sources: Sources,
    /// The settings as read, and whoever follows them.
    pub settings: watch::Sender<Arc<Settings>>,
    /// Attaches; used at the start and when a reload wants another program.
    pub attach: Attach,
    /// The readers' hub.
    pub hub: HubWriter,
    /// The metrics.
    pub metrics: Metrics,
    /// Caught from before the attachment.
    pub signals: Signals,
}

enum Woken {
    Signal(signals::Asked),
    Asked(Asked),
    Tick,
    Look,
    Beat,
}

/// A daemon that has attached.
pub struct Daemon {
    service: Service,
    sight: Sight,
    logs: Logs,
    notify: Notify,
    tally: Tally,
    /// What TCP's programs have counted, one after the other.
    tcp: Option<TcpSummary>,
    aggregator: Aggregator,
    sweep: Sweep,
    swept: Instant,
    undecodable: Stage,
    json: Json,
    started: Instant,
    ticks: Alarm,
    /// When to look into the rings next, before the tick.
    look: Option<Instant>,
    /// Those who wait for the next summary, and whether one is due.
    askers: Vec<Asked>,
    due: bool,
    attached: bool,
}

impl Daemon {
    /// Attaches, gives up by `enter` what is not needed any more, and only then starts threads: those of before would stay
    /// outside of the sandbox.
    ///
    /// # Errors
    /// When one of that can't be done.
    pub fn start(mut service: Service, enter: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let settings = Arc::clone(&service.settings.borrow());
        let attached = (service.attach)(&settings.capture)?;
        enter()?;
        let logs = Logs::open(&settings.log, &service.metrics)?;
        let (sight, about) = Sight::new(attached)?;
        service.metrics.attached(about);
        let started = Instant::now();
        Ok(Self {
            logs,
            sight,
            notify: Notify::new(),
            tally: Tally::default(),
            tcp: None,
            aggregator: Aggregator::new(dimensions(&settings.metrics.labels)),
            sweep: Sweep::default(),
            swept: started,
            undecodable: service.metrics.stage("undecodable"),
            json: Json::new(),
            ticks: Alarm::every(settings.capture.interval.0)?,
            look: None,
            started,
            askers: Vec::new(),
            // The first summary, as soon as names are known: readers shall not wait an interval for it.
            due: true,
            attached: true,
            service,
        })
    }

    /// Runs until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// When the kernel's counters can't be read any more.
    pub async fn run(mut self) -> Result<(), RunError> {
        self.notify.ready();
        self.look = Some(self.started);
        loop {
            match self.woken().await {
                Woken::Signal(signals::Asked::Stop) => break,
                Woken::Signal(signals::Asked::Reload) => self.reload().await,
                Woken::Asked(asked) => {
                    self.askers.push(asked);
                    self.due = true;
                }
                Woken::Tick => {
                    self.due = true;
                    self.watch_program();
                    self.logs.retry();
                }
                Woken::Look => {}
                Woken::Beat => {
                    self.notify.alive();
                    continue;
                }
            }
            self.look();
            if self.due {
                self.publish()?;
            }
        }
        self.end().await
    }

    async fn woken(&mut self) -> Woken {
        let look = async {
            match self.look {
                Some(look) => sleep_until(look).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            asked = self.service.signals.next() => Woken::Signal(asked),
            () = self.notify.beat() => Woken::Beat,
            () = self.ticks.ring() => Woken::Tick,
            asked = self.service.hub.asked() => Woken::Asked(asked),
            () = look => Woken::Look,
        }
    }

    /// Empties the rings. Nobody is woken for a drop: the next look is soon where drops come and somebody wants them, and
    /// else with the next tick or question.
    fn look(&mut self) {
        let Self { sight, service, logs, aggregator, json, .. } = self;
        let (read, logged) = (service.hub.has_readers(), logs.want_drops());
        let mut line = Vec::new();
        let mut seen = sight.look(|drop| {
            aggregator.record(drop);
            if read || logged {
                line.clear();
                json.drop(drop, &mut line);
            }
            if logged {
                logs.line(&line);
            }
            if read && let Ok(text) = std::str::from_utf8(&line) {
                service.hub.drop(text.trim_end().into());
            }
        });
        // Events of TCP's go into the logs; the hub's readers know drops alone.
        seen += sight.look_at_tcp(|event| {
            if logged {
                line.clear();
                json.tcp(event, &mut line);
                logs.line(&line);
            }
        });
        logs.send();
        self.undecodable.store(sight.undecodable, Ordering::Relaxed);
        let now = Instant::now();
        self.look = if sight.waits_for_names() {
            Some(now + LOOK_FOR_NAMES)
        } else {
            (seen > 0 && (read || logged)).then_some(now + LOOK)
        };
    }

    /// Reads the counters and tells everybody, unless names have to be read first.
    fn publish(&mut self) -> Result<(), RunError> {
        let counters = self.sight.probe.counts.counters()?;
        if self.sight.wants_names(&counters) {
            self.look = Some(Instant::now() + LOOK_FOR_NAMES);
            return Ok(());
        }
        let total = self.tally.total(self.sight.reading(&counters)?);
        let summary = self.summary(&total)?;
        self.service.hub.publish(summary, self.askers.drain(..));
        self.due = false;
        self.sweep(&total.counts);
        self.write_metrics();
        Ok(())
    }

    /// The summary of the time since the last one, told to metrics and logs.
    fn summary(&mut self, total: &Reading) -> Result<Summary, RunError> {
        let now = Now {
            time: Timestamp::now(),
            // To the millisecond, as the lines of JSON tell it.
            elapsed: Duration::from_millis(self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)),
            accounts: total.accounts,
        };
        let counts = total.counts.iter().map(|(key, counts)| (*key, *counts));
        let summary = self.aggregator.summary(now, counts, &mut self.sight.names());
        let tcp = self.sight.tcp()?.map(|interval| Arc::new(interval.summed(&mut self.tcp)));
        let summary = Summary { tcp, ..summary };
        self.service.metrics.record(&summary);
        if self.logs.want_summaries() {
            let mut line = Vec::new();
            self.json.summary(&summary, &mut line);
            // Round-trip times are lines of their own.
            line.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.logs.line(line));
            self.logs.send();
        }
        Ok(summary)
    }

    /// Gives up the counters of namespaces and devices that are gone, once there are many.
    fn sweep(&mut self, counts: &HashMap<CountKey, Counts>) {
        let capture = self.service.settings.borrow().capture.clone();
        let pause = sweep::PAUSE.min(capture.interval.0 * 6);
        if counts.len() * 2 < capture.max_counters || self.swept.elapsed() < pause {
            return;
        }
        self.swept = Instant::now();
        let devices = self.sight.enricher.devices_in(&sweep::namespaces(counts));
        let gone = self.sweep.gone(counts, &devices);
        if gone.is_empty() {
            return;
        }
        let is_gone = |key: &CounterKey| gone.contains(&count_key(key));
        match self.sight.probe.counts.evict(is_gone) {
            Ok(evicted) => self.tally.keep(evicted.iter().map(counts_of)),
            Err(error) => return warn!("{error}"),
        }
        // Those in the slots of a CPU stay where they are.
        let Ok(counters) = self.sight.probe.counts.counters() else { return };
        let left: HashSet<_> = counters.iter().map(|counter| count_key(&counter.key)).collect();
        let forgotten = |key: &CountKey| gone.contains(key) && !left.contains(key);
        self.tally.forget(forgotten);
        self.aggregator.forget(forgotten);
        info!("{} counters of namespaces and devices that are gone were given up", gone.len());
    }

    /// Notices that the program hangs on its tracepoint no more, and hangs it there again; its counts go on.
    fn watch_program(&mut self) {
        if self.sight.probe.is_attached() {
            return;
        }
        match self.sight.probe.attach_again() {
            Ok(()) => {
                warn!("the program was taken off its tracepoint; it is attached again");
                self.service.metrics.reattached();
            }
            Err(error) if self.attached => {
                error!("the program was taken off its tracepoint and can't be attached again: {error}");
            }
            // Said once.
            Err(_) => {}
        }
        self.attached = self.sight.probe.is_attached();
        self.service.metrics.set_attached(self.attached);
    }

    /// For `node_exporter`'s textfile collector: in one piece or not at all.
    fn write_metrics(&self) {
        let file = self.service.settings.borrow().metrics.file.clone();
        if file.as_os_str().is_empty() {
            return;
        }
        let text = self.service.metrics.encode(Format::Text);
        if let Err(error) = replace(&file, &text) {
            warn!("can't write the metrics to {}: {error}", file.display());
        }
    }

    /// The last counts, and the end of the logs.
    async fn end(mut self) -> Result<(), RunError> {
        self.notify.stopping();
        self.sight.probe.detach();
        let counters = self.sight.probe.counts.counters()?;
        while self.sight.wants_names(&counters) {
            self.sight.wait_for_names();
        }
        self.look();
        self.publish()?;
        self.logs.finish().await;
        Ok(())
    }
}

/// Readers see the old text or the new one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file)
}
