//! What the bench prints and writes.

use super::daemon::Idle;
use super::explained::{Explained, RATE};
use super::limits::{self, Limit};
use super::sample::Sample;
use super::session::Round;
use super::table::table;
use super::tcp::Tcp;

const MEGABYTE: f64 = 1e6;

/// One tool's rounds, or why there are none.
pub struct Row {
    pub name: &'static str,
    pub rounds: Result<Vec<Round>, String>,
}

impl Row {
    /// A figure of every round; `None` where the tool has no such figure or did not run.
    pub fn sample(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<Sample> {
        Sample::new(self.rounds.as_ref().ok()?.iter().filter_map(figure))
    }

    pub fn over_ns(&self) -> Option<Sample> {
        self.sample(|round| round.over_ns)
    }

    pub fn start_up_ms(&self) -> Option<Sample> {
        self.sample(|round| Some(round.start_up.as_secs_f64() * 1e3))
    }

    pub fn peak_mb(&self) -> Option<Sample> {
        self.sample(|round| Some(round.memory.peak as f64 / MEGABYTE))
    }

    pub fn steady_mb(&self) -> Option<Sample> {
        self.sample(|round| Some(round.memory.now as f64 / MEGABYTE))
    }

    fn cells(&self) -> [String; 7] {
        let dash = || "–".to_owned();
        let median = |sample: Option<Sample>, digits: usize| {
            sample.map_or_else(dash, |sample| format!("{:.digits$}", sample.median()))
        };
        let cells = match &self.rounds {
            Err(reason) => [reason.clone(), dash(), dash(), dash(), dash(), dash()],
            Ok(_) => [
                self.over_ns().map_or_else(dash, |sample| sample.with_range(1)),
                self.sample(|round| Some(round.relative_rate * 100.0))
                    .map_or_else(dash, |sample| format!("{} %", sample.with_range(0))),
                self.start_up_ms().map_or_else(dash, |sample| sample.with_range(0)),
                median(self.peak_mb(), 1),
                median(self.steady_mb(), 1),
                median(self.sample(|round| Some(round.lost as f64)), 0),
            ],
        };
        let [over, rate, start_up, peak, steady, lost] = cells;
        [self.name.to_owned(), over, rate, start_up, peak, steady, lost]
    }
}

/// All that a run of the bench found.
pub struct Report {
    pub machine: Vec<(&'static str, String)>,
    pub command: String,
    pub place: String,
    pub rounds: usize,
    pub packets: u64,
    pub rows: Vec<Row>,
    pub explained: Vec<Explained>,
    pub idle: Vec<Idle>,
    pub events_per_second: Option<Sample>,
    pub tcp: Tcp,
    pub limits: Vec<Limit>,
}

impl Report {
    pub fn render(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        let header = [
            "tool",
            "ns per drop over an empty program",
            "flood's rate",
            "start-up, ms",
            "peak, MB",
            "steady, MB",
            "lost events",
        ];
        let facts = self.machine.iter().map(|(name, value)| format!("- {name}: {value}\n"));
        let facts = facts.collect::<String>() + &format!("- command: `{}`\n", self.command);
        let user_space = self.events_per_second.as_ref().map(|rate| {
            let rate = rate.with_range(2);
            format!("User space, from the ring's bytes to a JSON line, on one core: {rate} million events a second.\n")
        });
        let sections = [
            facts,
            table(header, &rows),
            self.notes(),
            self.explained(),
            self.idle(),
            user_space.unwrap_or_default(),
            self.tcp.render(),
            limits::render(&self.limits),
        ];
        sections.join("\n")
    }

    /// The document in `docs/`.
    pub fn document(&self) -> String {
        format!(
            "# Benchmark\n\nWritten by `cargo xtask bench --write`; nothing here was typed by hand.\n\n{}",
            self.render()
        )
    }

    fn explained(&self) -> String {
        let Some(cpu) = Sample::new(self.explained.iter().map(|one| one.cpu * 100.0)) else {
            return String::new();
        };
        let incomplete: u64 = self.explained.iter().map(|one| one.incomplete).sum();
        format!(
            "Every drop explained (`--all --socket --stack`, lines into a file), {RATE} drops a second for three seconds at a \
socket that nobody reads: {} % of one core; in all rounds {incomplete} lines without socket, owner or call chain.\n",
            cpu.with_range(0)
        )
    }

    fn idle(&self) -> String {
        let sample = |figure: fn(&Idle) -> f64| Sample::new(self.idle.iter().map(figure));
        let (Some(cpu), Some(wake_ups)) = (sample(|one| one.cpu * 100.0), sample(|one| one.wake_ups)) else {
            return String::new();
        };
        format!(
            "The daemon (`netdrop serve` without settings) at rest, after a flood, for 20 seconds: {} % of one core \
(`schedstat` of its threads), {} wake-ups a second (`voluntary_ctxt_switches`).\n",
            cpu.with_range(3),
            wake_ups.with_range(2)
        )
    }

    fn notes(&self) -> String {
        let drops =
            self.rows.iter().flat_map(|row| row.rounds.iter().flatten()).map(|round| round.drops).max();
        format!(
            "Medians of {rounds} rounds, in brackets the least and the most. In each round every tool is started, flooded \
with UDP to a closed loopback port and stopped; {place}, the tools have the others.

- *ns per drop*: the kernel's own time of the tool's BPF program (`BPF_ENABLE_STATS`), less that of an empty program \
(`r0 = 0; exit`) attached to the same drops, over {packets} drops. What the kernel does before a program \
runs is not in it: bpftrace's programs get a perf event made first, which only the flood's rate shows. perf has no program.
- *flood's rate*: of {packets} packets with the tool (and no times taken), relative to those right before without it.
- *start-up*: from exec until netdrop says that it is attached; until bpftrace's program has run on a drop \
(one is made each millisecond); until perf answers a `ping` on its control pipe.
- *peak, steady*: `VmHWM` and `VmRSS` a second after the floods, while the tool still runs.
- *lost events*: of at most {drops} drops a round, as the tool says it at its end (netdrop: ring or table full, recursion; \
bpftrace: `Lost`; perf: drops that are not among its samples).\n",
            rounds = self.rounds,
            place = self.place,
            packets = self.packets,
            drops = drops.unwrap_or(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::running::Memory;

    #[test]
    fn rows_show_medians_and_say_why_they_are_empty() {
        let round = |over_ns, lost| Round {
            start_up: Duration::from_millis(50),
            over_ns,
            relative_rate: 0.9,
            memory: Memory { peak: 12_000_000, now: 8_000_000 },
            lost,
            drops: 10,
        };
        let row = |name, rounds| Row { name, rounds }.cells().join("; ");
        let measured = Ok(vec![round(Some(20.0), 0), round(Some(22.0), 4), round(Some(21.0), 2)]);
        assert_eq!(row("a", measured), "a; 21.0 (20.0–22.0); 90 (90–90) %; 50 (50–50); 12.0; 8.0; 2");
        assert_eq!(row("b", Ok(vec![round(None, 0)])), "b; –; 90 (90–90) %; 50 (50–50); 12.0; 8.0; 0");
        assert_eq!(row("c", Err("not installed".to_owned())), "c; not installed; –; –; –; –; –");
    }
}
