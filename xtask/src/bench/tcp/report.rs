//! TCP's part of what the bench prints, and its limits.

use super::super::limits::{Bound, Limit};
use super::super::sample::Sample;
use super::super::table::table;
use super::peers::{BPFTRACE_LIFE, BPFTRACE_RETRANSMITS, LIFE, RETRANSMITS, RTT};
use super::{Rounds, Tcp};

/// What `netdrop tcp rtt` may cost a transfer, in per cent of its throughput.
const MOST_LOST: f64 = 3.0;

impl Tcp {
    /// The limits.
    pub fn limits(&self) -> Vec<Limit> {
        let lost = sample(&self.transfers, RTT, super::Pair::lost);
        let life = |name| sample(&self.lives, name, |lived| lived.programs_ns).map(|sample| sample.median());
        let again = |name| sample(&self.retransmits, name, |ns| *ns).map(|sample| sample.median());
        let limit = |what, unit, bound, measured| Limit { what, unit, bound, measured };
        vec![
            limit(
                "tcp rtt: a loopback transfer's throughput lost",
                "%",
                Bound::AtMost(MOST_LOST),
                lost.map(|sample| sample.median()),
            ),
            limit(
                "tcp life: a connection, beside bpftrace's",
                "ns",
                Bound::LessThan(life(BPFTRACE_LIFE)),
                life(LIFE),
            ),
            limit(
                "tcp retransmits: a segment, beside bpftrace's",
                "ns",
                Bound::LessThan(again(BPFTRACE_RETRANSMITS)),
                again(RETRANSMITS),
            ),
        ]
    }

    /// The tables, and what they mean.
    pub fn render(&self) -> String {
        [
            self.transfers(),
            self.lives(),
            self.retransmits(),
            "What follows TCP: medians, in brackets the least and the most. A transfer is one connection over loopback, written and read in \
blocks of 128 KiB, its sender on the flood's CPU, three pairs a round: a traced transfer stands beside an untraced one right before or after it, and what \
counts is the median of what each pair lost. A connection is a request and an answer of 100 bytes with both of its ends on this host. Segments sent again \
are SYNs to a listener whose queue is full. *Programs* is the kernel's own time of all of a tool's BPF programs (`BPF_ENABLE_STATS`, the taking of time \
included); the CPU time is that of the tool's process at 1000 connections a second. bpftrace does the work of its tcplife.bt and tcpretrans.bt on \
tracepoints, as not every kernel has kprobes.\n"
                .to_owned(),
        ]
        .join("\n")
    }

    fn transfers(&self) -> String {
        let rows = self.transfers.iter().map(|(name, rounds)| {
            let gigabits = |rate: f64| rate * 8.0 / 1e9;
            row(
                name,
                rounds,
                [
                    &|pair| gigabits(pair.untraced),
                    &|pair| gigabits(pair.traced),
                    &super::Pair::lost,
                    &|pair| pair.call_ns,
                ],
            )
        });
        let rows: Vec<_> = rows.collect();
        table(["tool", "Gbit/s without", "Gbit/s with", "lost, %", "programs, ns a call"], &rows)
    }

    fn lives(&self) -> String {
        let rows = self.lives.iter().map(|(name, rounds)| {
            row(
                name,
                rounds,
                [&|lived| lived.programs_ns, &|lived| lived.cpu_us, &|lived| lived.relative_rate * 100.0],
            )
        });
        let rows: Vec<_> = rows.collect();
        table(
            ["tool", "programs, ns a connection", "its CPU time, µs a connection", "burst's rate, %"],
            &rows,
        )
    }

    fn retransmits(&self) -> String {
        let rows = self.retransmits.iter().map(|(name, rounds)| row(name, rounds, [&|ns| *ns]));
        let rows: Vec<_> = rows.collect();
        table(["tool", "programs, ns a segment sent again"], &rows)
    }
}

/// A figure of every round of a tool.
fn sample<T>(rows: &[Rounds<T>], name: &str, figure: impl Fn(&T) -> f64) -> Option<Sample> {
    let (_, rounds) = rows.iter().find(|(one, _)| *one == name)?;
    Sample::new(rounds.as_ref().ok()?.iter().map(figure))
}

/// A tool's medians and ranges; or, in the first place, why there are none.
fn row<T, const FIGURES: usize, const CELLS: usize>(
    name: &str,
    rounds: &Result<Vec<T>, String>,
    figures: [&dyn Fn(&T) -> f64; FIGURES],
) -> [String; CELLS] {
    let mut cells = std::array::from_fn(|_| "–".to_owned());
    name.clone_into(&mut cells[0]);
    for (cell, figure) in cells[1..].iter_mut().zip(figures) {
        if let Some(sample) = rounds.as_ref().ok().and_then(|rounds| Sample::new(rounds.iter().map(figure))) {
            *cell = sample.with_range(1);
        }
    }
    if let Err(reason) = rounds {
        reason.clone_into(&mut cells[1]);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::{Lived, Pair};
    use super::*;

    fn measured() -> Tcp {
        let pair = |traced| Pair { untraced: 5e9, traced, call_ns: 21.0 };
        let lived = |programs_ns| Lived { programs_ns, cpu_us: 3.0, relative_rate: 0.98 };
        Tcp {
            transfers: vec![(RTT, Ok(vec![pair(4.9e9), pair(5e9), pair(4.8e9)]))],
            lives: vec![(LIFE, Ok(vec![lived(900.0)])), (BPFTRACE_LIFE, Ok(vec![lived(9000.0)]))],
            retransmits: vec![
                (RETRANSMITS, Ok(vec![500.0])),
                (BPFTRACE_RETRANSMITS, Err("not installed".into())),
            ],
        }
    }

    #[test]
    fn the_median_of_the_pairs_is_what_counts() {
        let limits = measured().limits();
        assert!((limits[0].measured.unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(limits.iter().map(Limit::holds).collect::<Vec<_>>(), [Some(true), Some(true), None]);
    }

    #[test]
    fn rows_have_all_figures_or_a_reason() {
        let text = measured().render();
        assert!(
            text.contains(
                "| netdrop tcp rtt | 40.0 (40.0–40.0) | 39.2 (38.4–40.0) | 2.0 (0.0–4.0) | 21.0 (21.0–21.0)"
            ),
            "{text}"
        );
        assert!(text.contains("| bpftrace, as tcpretrans.bt | not installed"), "{text}");
    }
}
