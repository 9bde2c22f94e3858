//! One run of `watch`: from the attached program to the end of the output.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::Event;
use netdrop_common::Counter;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tracing::warn;

use super::command::CommandError;
use super::events::Events;
use super::examiner::Attending;
use super::follow::Follower;
use super::input::Input;
use super::lookups::Lookups;
use super::outlets::{Asked, Outlets};
use super::sink::SinkError;
use super::stop::Stop;
use super::surroundings::Surroundings;
use super::tcp::TcpSource;
use super::witness::Witness;
use crate::aggregate::{Aggregator, Now};
use crate::decode::{accounts, counts, decode, trap};
use crate::doctor::Finding;
use crate::enrich::{Enricher, Named, TrapNames};
use crate::kernel::debug_info::DebugInfo;
use crate::model::{Accounts, Summary, Timestamp, Trap};
use crate::owner::Owners;
use crate::probe::{Log, Probe, ProbeError, Traps};

/// What is to be run.
pub struct Plan {
    /// The attached program; absent where drops aren't followed.
    pub probe: Option<Probe>,
    /// TCP's programs, where they are asked for.
    pub tcp: Option<TcpSource>,
    /// The names.
    pub enricher: Enricher,
    /// Who has which socket, where that is asked for.
    pub owners: Option<Box<Owners>>,
    /// What keeps the filter up to date, where that is needed.
    pub follower: Option<Follower>,
    /// Where source lines come from.
    pub debug_info: Option<DebugInfo>,
    /// The rows.
    pub aggregator: Aggregator,
    /// The counters at the start, to be compared with those at the end.
    pub witness: Witness,
    /// What ends it from outside.
    pub stop: Stop,
    /// The formats, and where they go.
    pub outlets: Outlets,
    /// When it ends by itself.
    pub limits: Limits,
    /// Time between summaries.
    pub interval: Duration,
    /// Time between two looks into the ring buffer: nobody is woken for an event, as that would cost the CPU that drops
    /// the packet microseconds.
    pub look: Duration,
    /// What the program logs is shown for as long as this lives.
    pub log: Option<Log>,
    /// The doctor, asked what explains the drops.
    pub doctor: Option<Attending>,
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
    /// What the doctor found that explains its drops.
    pub findings: Vec<Finding>,
    /// What became of the output.
    pub output: Result<(), SinkError>,
    /// How the command ended, where the run was one's.
    pub command: Option<Result<ExitStatus, CommandError>>,
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
pub(super) enum Woken {
    Look,
    Output(SinkError),
    Tick,
    Resized,
    Input(Event),
    Stop,
}

/// What became of a drop that was taken.
enum Taken {
    Shown,
    /// It is put back, as it must wait for its name.
    Waits,
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
    input: Option<Input>,
    events: Option<Events>,
    lookups: Lookups,
    context: Surroundings,
    /// A summary waits for names.
    owes_summary: bool,
    started: Instant,
    shown: u64,
    undecodable: u64,
}

impl TrapNames for Traps {
    fn trap(&mut self, site: u64) -> Option<Trap> {
        self.get(site).as_ref().map(trap)
    }
}

/// Runs until a limit, a signal or the end of the output.
///
/// # Errors
/// When the kernel can't be read any more; whatever happens to the output is told in [`Ended`].
pub async fn run(mut plan: Plan) -> Result<Ended, RunError> {
    let rings = plan.probe.as_mut().map(Probe::take_rings).transpose();
    let rings = rings.map_err(|error| RunError::Wait { what: "drops", error })?;
    if let Some(traps) = plan.probe.as_mut().and_then(Probe::take_traps) {
        plan.enricher.with_traps(traps);
    }
    let lookups = if plan.probe.is_some() {
        Lookups::start(&mut plan.enricher, plan.debug_info.take())
    } else {
        Lookups::idle(&plan.enricher)
    };
    let context = Surroundings::new(plan.owners.take(), plan.probe.as_mut().and_then(Probe::take_stacks));
    let mut run = Run {
        // The first frame of a table, before anything happens.
        owes_summary: plan.outlets.is_live(),
        input: plan.outlets.take_input(),
        plan,
        events: rings.map(Events::new),
        lookups,
        context,
        started: Instant::now(),
        shown: 0,
        undecodable: 0,
    };
    // On the heap: it is large, and so would all be that wait for it.
    Box::pin(async move {
        let output = run.follow().await?;
        run.end(output).await
    })
    .await
}

impl Run {
    /// Follows the drops until something ends it; an error of the output is such a thing.
    async fn follow(&mut self) -> Result<Result<(), SinkError>, RunError> {
        let mut ticks = ticks(self.started, self.plan.interval);
        let mut look = self.started;
        loop {
            let woken = self.woken(&mut ticks, look).await;
            if matches!(woken, Woken::Look)
                && let Err(error) = self.plan.outlets.refresh()
            {
                return Ok(Err(error));
            }
            match woken {
                Woken::Look if self.waits_for_names() => {
                    self.events.iter_mut().for_each(Events::keep);
                    look = Instant::now() + self.plan.look;
                }
                Woken::Look => {
                    if self.context.refresh() {
                        self.plan.enricher.turn();
                    }
                    if std::mem::take(&mut self.owes_summary) {
                        ticks.reset_immediately();
                    }
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
                Woken::Tick if !self.plan.outlets.has_room() => {}
                Woken::Tick => {
                    let counters = self.counters()?;
                    if self.wants_names(&counters) {
                        self.owes_summary = true;
                        continue;
                    }
                    self.plan.enricher.turn();
                    let now = self.now()?;
                    self.summary(now, &counters)?;
                    if let Err(error) = self.plan.outlets.send() {
                        return Ok(Err(error));
                    }
                }
                Woken::Resized => self.plan.outlets.resize(),
                Woken::Input(event) => match self.plan.outlets.event(&event) {
                    Some(Asked::End) => return Ok(Ok(())),
                    Some(Asked::Summary) => self.owes_summary = true,
                    None => {}
                },
                Woken::Stop => return Ok(Ok(())),
            }
        }
    }

    async fn woken(&mut self, ticks: &mut Interval, look: Instant) -> Woken {
        let limit = self.plan.limits.duration.map(|duration| self.started + duration);
        let Plan { outlets, stop, .. } = &mut self.plan;
        let reading = self.lookups.is_reading();
        // Without room for their lines, events stay in the ring: there the kernel counts those that find no place.
        let ready = async {
            sleep_until(look).await;
            if reading {
                return Woken::Look;
            }
            match outlets.room().await {
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
            woken = stop.woken() => woken,
            () = at_limit => Woken::Stop,
            _ = ticks.tick() => Woken::Tick,
            event = next(&mut self.input) => event.map_or(Woken::Stop, Woken::Input),
            woken = ready => woken,
        }
    }

    /// Turns events into lines and hands them over, until the ring is empty or there is no more room.
    fn drain(&mut self) -> Result<Drained, SinkError> {
        loop {
            self.plan.enricher.set_clock();
            self.events.iter_mut().for_each(Events::keep_up);
            let mut more = true;
            while more && !self.plan.outlets.is_full() {
                more = self.next_event();
            }
            self.plan.outlets.send()?;
            if !more {
                return Ok(Drained::Empty);
            }
            if !self.plan.outlets.has_room() {
                return Ok(Drained::Full);
            }
        }
    }

    /// Takes one event; false when there is none, none is wanted any more, or it must wait for its name.
    fn next_event(&mut self) -> bool {
        if self.plan.limits.count.is_some_and(|count| self.shown >= count) {
            return false;
        }
        match self.next_drop() {
            Some(Taken::Waits) => return false,
            None if !self.next_of_tcp() => return false,
            Some(Taken::Shown) | None => {}
        }
        self.shown += 1;
        true
    }

    /// Takes a drop; `None` when there is none.
    fn next_drop(&mut self) -> Option<Taken> {
        let events = self.events.as_mut()?;
        let bytes = events.next()?;
        let Plan { enricher, aggregator, witness, outlets, .. } = &mut self.plan;
        match decode(bytes) {
            Ok(raw) => {
                let site = raw.key.site;
                let shown = enricher.enrich(&raw, &mut self.context, |drop| {
                    aggregator.record(drop);
                    witness.see(&raw.key, drop);
                    outlets.drop(drop);
                });
                if shown.is_none() {
                    let bytes = bytes.to_vec();
                    events.put_back(&bytes);
                    self.lookups.look_up(site, enricher);
                    return Some(Taken::Waits);
                }
            }
            Err(error) => {
                if self.undecodable == 0 {
                    warn!("{error}");
                }
                self.undecodable += 1;
            }
        }
        Some(Taken::Shown)
    }

    /// Takes an event of TCP's; false when there is none.
    fn next_of_tcp(&mut self) -> bool {
        let Plan { tcp, enricher, outlets, .. } = &mut self.plan;
        tcp.as_mut().is_some_and(|tcp| tcp.next(enricher, &mut self.context, |event| outlets.tcp(event)))
    }

    /// All drops' counters; none where drops aren't followed.
    fn counters(&self) -> Result<Vec<Counter>, RunError> {
        Ok(self.plan.probe.as_ref().map_or(Ok(Vec::new()), |probe| probe.counts.counters())?)
    }

    /// Whether names are being read; those that have been are taken over.
    fn waits_for_names(&mut self) -> bool {
        self.lookups.poll(&mut self.plan.enricher);
        self.lookups.is_reading()
    }

    /// Whether a summary must wait for names of what was counted.
    fn wants_names(&mut self, counters: &[Counter]) -> bool {
        for counter in counters {
            self.lookups.look_up(counter.key.site, &self.plan.enricher);
        }
        self.lookups.is_reading()
    }

    /// False when there is nothing to wait for.
    fn wait_for_names(&mut self) -> bool {
        self.lookups.wait(&mut self.plan.enricher)
    }

    fn now(&self) -> Result<Now, RunError> {
        let accounts = match &self.plan.probe {
            Some(probe) => accounts(&probe.counts.accounts(), probe.recursion_misses()?),
            None => Accounts::default(),
        };
        // To the millisecond, as the lines of JSON tell it: a recording reads as the run did.
        let elapsed =
            Duration::from_millis(self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        Ok(Now { time: Timestamp::now(), elapsed, accounts })
    }

    /// Adds the summary of the interval to the chunks.
    fn summary(&mut self, now: Now, counters: &[Counter]) -> Result<(), RunError> {
        let Plan { tcp, enricher, aggregator, outlets, doctor, .. } = &mut self.plan;
        let mut names = Named { enricher, beyond: &mut self.context };
        let summary = aggregator.summary(now, counters.iter().map(counts), &mut names);
        let tcp = tcp.as_mut().map(|tcp| tcp.interval(&mut names)).transpose()?.map(Arc::new);
        let findings = doctor.as_mut().map(|doctor| doctor.look(&summary)).unwrap_or_default();
        outlets.summary(&Summary { tcp, findings, ..summary });
        Ok(())
    }

    /// Detaches, writes what is left and the final summary.
    async fn end(mut self, output: Result<(), SinkError>) -> Result<Ended, RunError> {
        self.plan.probe.iter_mut().for_each(Probe::detach);
        self.plan.tcp.iter_mut().for_each(TcpSource::detach);
        // Final from here on.
        let counters = self.counters()?;
        // Symbols first, then the lines of what they name.
        while self.wants_names(&counters) {
            self.wait_for_names();
        }
        self.plan.witness.read_again(counters.iter().map(counts), &mut self.plan.enricher);
        let output = match output {
            Ok(()) => self.write_rest().await,
            failed => failed,
        };
        let mut now = self.now()?;
        self.give_up_unread(&mut now.accounts);
        self.summary(now, &counters)?;
        let Plan { tcp, enricher, aggregator, witness, outlets, doctor, .. } = &mut self.plan;
        let attribution = witness.testify(counters.iter().map(counts), enricher);
        let mut names = Named { enricher, beyond: &mut self.context };
        let end = aggregator.end(now, counters.iter().map(counts), &mut names);
        let tcp = tcp.as_mut().map(|tcp| tcp.whole(&mut names)).transpose()?.map(Arc::new);
        let (findings, told) = match doctor.take() {
            Some(doctor) => doctor.end(&end).await,
            None => Default::default(),
        };
        let end = Summary { attribution, tcp, findings: told, ..end };
        outlets.findings(&findings);
        outlets.end(&end);
        let finished = self.plan.outlets.finish().await;
        if self.undecodable > 0 {
            warn!(
                "{} events could not be decoded: their drops are counted, their details lost",
                self.undecodable
            );
        }
        let command = self.plan.stop.into_status();
        Ok(Ended { end, findings, output: output.and(finished), command })
    }

    /// Writes the events that are still in the ring.
    async fn write_rest(&mut self) -> Result<(), SinkError> {
        loop {
            self.plan.enricher.set_clock();
            while !self.plan.outlets.is_full() && self.next_event() {}
            if !self.plan.outlets.is_empty() {
                self.plan.outlets.deliver().await?;
            } else if !self.wait_for_names() {
                return Ok(());
            }
        }
    }

    /// Details that nobody will see, because the count is reached or the output gone, are accounted as sampled out.
    fn give_up_unread(&mut self, accounts: &mut Accounts) {
        while self.events.as_mut().is_some_and(|events| events.next().is_some()) {
            accounts.detailed -= 1;
            accounts.sampled_out += 1;
        }
        self.plan.tcp.iter_mut().for_each(TcpSource::give_up_unread);
    }
}

/// What the user does; nothing where nobody can.
async fn next(input: &mut Option<Input>) -> Option<Event> {
    match input {
        Some(input) => input.next().await,
        None => std::future::pending().await,
    }
}

fn ticks(started: Instant, interval: Duration) -> Interval {
    let mut ticks = interval_at(started + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
