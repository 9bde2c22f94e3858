//! `qdisc-standing-queue`: packets that wait for long before they are sent, at both ends of the window: bufferbloat (RFC 7567, 1.2).

use std::time::Duration;

use super::named;
use crate::counters::qdiscs::{Qdiscs, Queue, ROOT};
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "qdisc-standing-queue",
    area: Area::Qdisc,
    scope: Scope::Netns,
    needs: &[source::<Qdiscs>()],
    run,
};

/// A call stutters from 150 ms on, the whole way included (ITU-T G.114); `codel` allows 5 ms to stay.
const LONG: Duration = Duration::from_millis(100);
/// TCP's first retransmission timeout (RFC 6298, 2.1): what waits longer is sent again.
const TOO_LONG: Duration = Duration::from_secs(1);
/// Queues that drop to keep delay short, and those without a queue of their own.
const FIFOS: [&str; 3] = ["pfifo_fast", "pfifo", "bfifo"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Qdiscs>()?;
    let queues = after.qdiscs.iter().filter(|queue| queue.kind != "mq");
    Ok(queues.filter_map(|queue| of_queue(window, before, after, queue)).collect())
}

fn of_queue(window: &Window, before: &Qdiscs, after: &Qdiscs, queue: &Queue) -> Option<Finding> {
    let was = before.same(queue, false)?.counts;
    let (waits, sent) = (was.backlog.min(queue.counts.backlog), queue.counts.bytes.saturating_sub(was.bytes));
    if waits == 0 {
        return None;
    }
    // So long as it was sent at the same rate; where nothing was, for the whole time.
    let delay = (window.lasted.as_nanos() * u128::from(waits))
        .checked_div(sent.into())
        .map_or(window.lasted, |delay| Duration::from_nanos(delay.try_into().unwrap_or(u64::MAX)));
    if delay < LONG {
        return None;
    }
    let severity = if delay >= TOO_LONG { Severity::Warning } else { Severity::Info };
    let device = after.device(queue);
    let sentence = format!("Packets wait for {} ms before they are sent by {device}.", delay.as_millis());
    let value = |name: &str, bytes: u32| Evidence::value(name, format!("{bytes} bytes"), Qdiscs::FROM);
    let finding = Finding::new(severity, named(device, queue, false), sentence)
        .shown_by([value("waited at the start", was.backlog), value("wait now", queue.counts.backlog)])
        .shown_by([window.moved("bytes sent", (was.bytes, queue.counts.bytes), Qdiscs::FROM)])
        .because(
            Certainty::Likely,
            if sent == 0 {
                "Nothing was sent at all: the other side's pause frames, a driver that hangs, or a shaper with next to no rate holds it."
            } else {
                "More is sent than the link or the shaper takes, and the queue is long enough to hold it: all who send by it wait."
            },
        )
        .caution("A shorter queue drops instead: that is how senders learn to slow down.");
    Some(if FIFOS.contains(&queue.kind.as_str()) && queue.parent == ROOT {
        finding.remedy(
            Remedy::command(
                "Share the link fairly, and keep delay short.",
                format!("tc qdisc replace dev {} root fq_codel", shell(device)),
            )
            .inside(window)
            .kept_by("printf 'net.core.default_qdisc = fq_codel\\n' > /etc/sysctl.d/90-net-core-default_qdisc.conf"),
        )
    } else {
        finding
            .remedy(Remedy::command("See its limits and rates.", format!("tc -s -d qdisc show dev {}", shell(device))).inside(window))
            .remedy(Remedy::advice("Raise its rate if the link has more; else put fq_codel in it (`tc qdisc add … parent CLASS fq_codel`), or make its limit smaller."))
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{qdiscs, queue};
    use super::*;
    use crate::counters::qdiscs::QueueCounts;
    use crate::doctor::made::Made;

    /// In five seconds.
    fn made(kind: &str, waits: (u32, u32), sent: u64) -> Made {
        let of = |backlog, bytes| {
            qdiscs([queue(kind, 0x8001_0000, ROOT, QueueCounts { bytes, backlog, ..QueueCounts::default() })])
        };
        Made::default().part(of(waits.0, 7), of(waits.1, 7 + sent))
    }

    #[test]
    fn a_long_queue() {
        assert_snapshot!(made("pfifo_fast", (400_000, 300_000), 2_500_000).told(&CHECK));
    }

    #[rstest::rstest]
    #[case::short((400_000, 3_000), 2_500_000, None)]
    #[case::none((400_000, 0), 2_500_000, None)]
    #[case::long((400_000, 100_000), 2_500_000, Some(Severity::Info))]
    #[case::too_long((600_000, 600_000), 2_500_000, Some(Severity::Warning))]
    #[case::it_stands_still((600, 600), 0, Some(Severity::Warning))]
    #[case::many_bytes_at_a_fast_link((400_000_000, 400_000_000), 1 << 33, Some(Severity::Info))]
    #[case::a_fast_link((u32::MAX, u32::MAX), u64::MAX / 2, None)]
    fn by_the_time_that_packets_wait(
        #[case] waits: (u32, u32),
        #[case] sent: u64,
        #[case] severity: Option<Severity>,
    ) {
        let findings = made("tbf", waits, sent).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }
}
