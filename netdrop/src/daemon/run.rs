//! One run of `watch`: from the attached program to the end of the output.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

use super::sink::{Sink, SinkError};
use super::terminal::Terminal;
use super::witness::{Witness, dropped};
use crate::aggregate::{Aggregator, Now};
use crate::decode::{counts, decode};
use crate::enrich::Enricher;
use crate::model::{Accounts, Attribution, Summary, Timestamp};
use crate::output::{Output, Table};
use crate::probe::{Probe, ProbeError, Ring};

/// Bytes of output that are handed over at once, about.
const CHUNK: usize = 64 << 10;
/// At the end, a consumer that reads nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be run.
pub struct Plan {
    /// The attached program.
    pub probe: Probe,
    /// The names.
    pub enricher: Enricher,
    /// The rows.
    pub aggregator: Aggregator,
    /// The counters at the start, to be compared with those at the end.
    pub witness: Witness,
    /// What ends it from outside: caught from before the attachment is announced, so that none is lost.
    pub signals: Signals,
    /// The format.
    pub format: Format,
    /// Where it goes.
    pub sink: Sink,
    /// When it ends by itself.
    pub limits: Limits,
    /// Time between summaries.
    pub interval: Duration,
    /// Time between two looks into the ring buffer: nobody is woken for an event, as that would cost the CPU that drops
    /// the packet microseconds.
    pub look: Duration,
}

/// A format, and the terminal where it is drawn on one.
pub enum Format {
    /// Lines.
    Lines(Box<dyn Output>),
    /// The live table.
    Live(Box<Table>, Terminal),
}

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// After this time.
    pub duration: Option<Duration>,
    /// After so many details.
    pub count: Option<u64>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The whole run's counts.
    pub end: Summary,
    /// What became of the output.
    pub output: Result<(), SinkError>,
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program couldn't be read.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The ring or a signal couldn't be watched.
    #[error("can't wait for {what}: {error}")]
    Wait {
        /// For what.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

/// What woke the loop.
enum Woken {
    Look,
    Output(SinkError),
    Tick,
    Resized,
    Stop,
}

/// How a look into the ring ended.
enum Drained {
    /// The ring is empty, or no more is wanted.
    Empty,
    /// The output is full.
    Full,
}

struct Run {
    plan: Plan,
    ring: Ring,
    started: Instant,
    shown: u64,
    chunk: Vec<u8>,
    undecodable: u64,
}

/// Runs until a limit, a signal or the end of the output.
///
/// # Errors
/// When the kernel can't be read any more; whatever happens to the output is told in [`Ended`].
pub async fn run(mut plan: Plan) -> Result<Ended, RunError> {
    let ring = plan.probe.take_ring().map_err(|error| RunError::Wait { what: "drops", error })?;
    let mut run = Run { plan, ring, started: Instant::now(), shown: 0, chunk: Vec::new(), undecodable: 0 };
    let output = run.follow().await?;
    run.end(output).await
}

impl Run {
    /// Follows the drops until something ends it; an error of the output is such a thing.
    async fn follow(&mut self) -> Result<Result<(), SinkError>, RunError> {
        let mut ticks = ticks(self.started, self.plan.interval);
        let mut look = self.started;
        // The first frame, before anything happens.
        if matches!(self.plan.format, Format::Live(..)) {
            self.summary()?;
            if let Err(error) = self.plan.sink.send(&mut self.chunk) {
                return Ok(Err(error));
            }
        }
        loop {
            match self.woken(&mut ticks, look).await {
                Woken::Look => {
                    match self.drain() {
                        Ok(Drained::Empty) => look = Instant::now() + self.plan.look,
                        Ok(Drained::Full) => {}
                        Err(error) => return Ok(Err(error)),
                    }
                    if self.plan.limits.count.is_some_and(|count| self.shown >= count) {
                        return Ok(Ok(()));
                    }
                }
                Woken::Output(error) => return Ok(Err(error)),
                Woken::Tick if !self.plan.sink.has_room() => {}
                Woken::Tick => {
                    self.summary()?;
                    if let Err(error) = self.plan.sink.send(&mut self.chunk) {
                        return Ok(Err(error));
                    }
                }
                Woken::Resized => self.resize(),
                Woken::Stop => return Ok(Ok(())),
            }
        }
    }

    async fn woken(&mut self, ticks: &mut Interval, look: Instant) -> Woken {
        let limit = self.plan.limits.duration.map(|duration| self.started + duration);
        let Plan { sink, signals, .. } = &mut self.plan;
        // Without room for their lines, events stay in the ring: there the kernel counts those that find no place.
        let ready = async {
            sleep_until(look).await;
            match sink.room().await {
                Ok(()) => Woken::Look,
                Err(error) => Woken::Output(error),
            }
        };
        let at_limit = async {
            match limit {
                Some(limit) => sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = signals.interrupt.recv() => Woken::Stop,
            _ = signals.terminate.recv() => Woken::Stop,
            () = at_limit => Woken::Stop,
            _ = ticks.tick() => Woken::Tick,
            _ = signals.resized.recv() => Woken::Resized,
            woken = ready => woken,
        }
    }

    /// Turns events into lines and hands them over, until the ring is empty or there is no more room.
    fn drain(&mut self) -> Result<Drained, SinkError> {
        loop {
            let mut more = true;
            while more && self.chunk.len() < CHUNK {
                more = self.next_event();
            }
            self.plan.sink.send(&mut self.chunk)?;
            if !more {
                return Ok(Drained::Empty);
            }
            if !self.plan.sink.has_room() {
                return Ok(Drained::Full);
            }
        }
    }

    /// Takes one event; false when there is none, or none is wanted any more.
    fn next_event(&mut self) -> bool {
        if self.plan.limits.count.is_some_and(|count| self.shown >= count) {
            return false;
        }
        let Some(bytes) = self.ring.next() else { return false };
        let Plan { enricher, aggregator, format, .. } = &mut self.plan;
        match decode(bytes) {
            Ok(raw) => enricher.enrich(&raw, |drop| {
                aggregator.record(drop);
                format.output().drop(drop, &mut self.chunk);
            }),
            Err(error) => {
                if self.undecodable == 0 {
                    warn!("{error}");
                }
                self.undecodable += 1;
            }
        }
        self.shown += 1;
        true
    }

    fn now(&self) -> Result<Now, RunError> {
        Ok(Now { time: Timestamp::now(), elapsed: self.started.elapsed(), accounts: self.accounts()? })
    }

    fn accounts(&self) -> Result<Accounts, RunError> {
        let kernel = self.plan.probe.counts.accounts();
        Ok(Accounts {
            seen: kernel.seen,
            detailed: kernel.detailed,
            sampled_out: kernel.sampled_out,
            ring_full: kernel.ring_full,
            filtered: kernel.filtered,
            table_full: kernel.table_full,
            recursion_misses: self.plan.probe.recursion_misses()?,
        })
    }

    /// Adds the summary of the interval to the chunk.
    fn summary(&mut self) -> Result<(), RunError> {
        self.plan.enricher.turn();
        let now = self.now()?;
        self.summary_of(now)
    }

    fn summary_of(&mut self, now: Now) -> Result<(), RunError> {
        let counters = self.plan.probe.counts.counters()?;
        let Plan { enricher, aggregator, format, .. } = &mut self.plan;
        let summary = aggregator.summary(now, counters.iter().map(counts), enricher);
        format.output().summary(&summary, &mut self.chunk);
        Ok(())
    }

    fn resize(&mut self) {
        if let Format::Live(table, terminal) = &mut self.plan.format {
            let view = terminal.view();
            table.resize(view.width, view.height, &mut self.chunk);
        }
    }

    /// Detaches, writes what is left and the final summary.
    async fn end(mut self, output: Result<(), SinkError>) -> Result<Ended, RunError> {
        self.plan.probe.detach();
        let attribution = self.attribution()?;
        let mut output = match output {
            Ok(()) => self.write_rest().await,
            failed => failed,
        };
        let mut now = self.now()?;
        self.give_up_unread(&mut now.accounts);
        self.summary_of(now)?;
        let counters = self.plan.probe.counts.counters()?;
        let Plan { enricher, aggregator, format, .. } = &mut self.plan;
        let end = aggregator.end(now, counters.iter().map(counts), enricher);
        let end = Summary { attribution, ..end };
        format.output().end(&end, &mut self.chunk);
        if output.is_ok() {
            output = self.deliver().await;
        }
        if output.is_ok() {
            output = self.plan.sink.finish(PATIENCE).await;
        }
        if self.undecodable > 0 {
            warn!(
                "{} events could not be decoded: their drops are counted, their details lost",
                self.undecodable
            );
        }
        Ok(Ended { end, output })
    }

    /// What other counters say, before they count what comes after the end.
    fn attribution(&mut self) -> Result<Attribution, RunError> {
        let counters = self.plan.probe.counts.counters()?;
        let Plan { enricher, witness, .. } = &mut self.plan;
        let drops = dropped(counters.iter().map(counts), enricher);
        Ok(witness.testify(&drops, enricher))
    }

    /// Writes the events that are still in the ring.
    async fn write_rest(&mut self) -> Result<(), SinkError> {
        loop {
            while self.chunk.len() < CHUNK && self.next_event() {}
            if self.chunk.is_empty() {
                return Ok(());
            }
            self.deliver().await?;
        }
    }

    /// Hands over the chunk as soon as there is room.
    async fn deliver(&mut self) -> Result<(), SinkError> {
        match tokio::time::timeout(PATIENCE, self.plan.sink.room()).await {
            Ok(room) => room?,
            Err(_) => return Err(SinkError::Blocked(PATIENCE)),
        }
        self.plan.sink.send(&mut self.chunk)
    }

    /// Details that nobody will see, because the count is reached or the output gone, are accounted as sampled out.
    fn give_up_unread(&mut self, accounts: &mut Accounts) {
        while self.ring.next().is_some() {
            accounts.detailed -= 1;
            accounts.sampled_out += 1;
        }
    }
}

impl Format {
    fn output(&mut self) -> &mut dyn Output {
        match self {
            Self::Lines(output) => output.as_mut(),
            Self::Live(table, _) => table.as_mut(),
        }
    }
}

fn ticks(started: Instant, interval: Duration) -> Interval {
    let mut ticks = interval_at(started + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The signals that a run listens to. One that comes after this is made is kept until the run looks.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    resized: Signal,
}

impl Signals {
    /// Starts to catch them.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn new() -> Result<Self, RunError> {
        let on = |kind| signal(kind).map_err(|error| RunError::Wait { what: "signals", error });
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            resized: on(SignalKind::window_change())?,
        })
    }
}
