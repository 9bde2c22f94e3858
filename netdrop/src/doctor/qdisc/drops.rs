//! `qdisc-drops`: packets that a queueing discipline or a class dropped (`qdisc_qstats_drop`, `include/net/sch_generic.h`).

use super::{named, remedies};
use crate::counters::qdiscs::{Qdiscs, Queue};
use crate::doctor::{
    Area, Check, Evidence, Finding, Moved, Part as _, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check =
    Check { name: "qdisc-drops", area: Area::Qdisc, scope: Scope::Netns, needs: &[source::<Qdiscs>()], run };

/// What queueing disciplines drop by, and the functions of kernels without reasons.
const EXPLAINED: [&str; 10] = [
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_CONGESTED",
    "QDISC_DROP_GENERIC",
    "QDISC_DROP_OVERLIMIT",
    "QDISC_DROP_CONGESTED",
    "QDISC_DROP_FLOW_LIMIT",
    "QDISC_DROP_BAND_LIMIT",
    "__tcf_kfree_skb_list",
    "__dev_xmit_skb",
];

/// Where kernels without reasons free what was dropped: a list of packets, which may be something else, too.
const FREED: [&str; 3] = ["kfree_skb_list", "kfree_skb_list_reason", "__dev_queue_xmit"];
/// A queue around others may count some of theirs twice, or not at all: less than one in so many is none of its own.
const INEXACT: u64 = 8;

/// A queue whose drops are its own, and none of the queues below it.
pub struct Loss<'a> {
    pub queue: &'a Queue,
    pub is_class: bool,
    /// What it counted.
    pub drops: Moved,
    /// How many of them are its own.
    pub own: u64,
    /// How many of those as it was full; known of `fq_codel` alone.
    pub full: Option<u64>,
    /// Packets that it sent meanwhile, and their bytes.
    pub sent: (u64, u64),
}

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Qdiscs>()?;
    let all =
        || after.qdiscs.iter().map(|one| (one, false)).chain(after.classes.iter().map(|one| (one, true)));
    let dropped = |queue, is_class| drops(window, before, queue, is_class).by();
    let mut findings = Vec::new();
    for (queue, is_class) in all() {
        let drops = drops(window, before, queue, is_class);
        let below: u64 = children(after, queue, is_class).map(|(one, is_class)| dropped(one, is_class)).sum();
        let own = drops.by().saturating_sub(below);
        if own > below / INEXACT {
            let loss = loss(window, before, queue, is_class, drops, own);
            findings.push(finding(window, after, &loss));
        }
    }
    Ok(findings)
}

fn drops(window: &Window, before: &Qdiscs, queue: &Queue, is_class: bool) -> Moved {
    let was = before.counted(queue, is_class).drops;
    Moved::of_32_bits("dropped", (was, queue.counts.drops), window.lasted, Qdiscs::FROM)
}

fn loss<'a>(
    window: &Window,
    before: &Qdiscs,
    queue: &'a Queue,
    is_class: bool,
    drops: Moved,
    own: u64,
) -> Loss<'a> {
    let was = before.counted(queue, is_class);
    let small = |was, is| Moved::of_32_bits("", (was, is), window.lasted, "").by();
    let bytes = queue.counts.bytes.saturating_sub(was.bytes);
    let full = queue.counts.full.map(|full| small(was.full.unwrap_or(0), full));
    Loss { queue, is_class, drops, own, full, sent: (small(was.packets, queue.counts.packets), bytes) }
}

/// What is right below: a drop there is counted here, too. Classes count for what is in them.
fn children<'a>(
    all: &'a Qdiscs,
    queue: &'a Queue,
    is_class: bool,
) -> Box<dyn Iterator<Item = (&'a Queue, bool)> + 'a> {
    let here = move |one: &&Queue| one.device == queue.device;
    let major = queue.handle >> 16;
    let qdiscs = all.qdiscs.iter().filter(here).map(|one| (one, false));
    if is_class {
        return Box::new(qdiscs.filter(|(one, _)| one.parent == queue.handle));
    }
    let classes = || all.classes.iter().filter(here).filter(move |one| one.handle >> 16 == major);
    // What the kernel made by itself has no handle; but for the one that spreads over a card's queues, nothing is below it.
    if major == 0 && queue.kind != "mq" {
        Box::new(std::iter::empty())
    } else if classes().next().is_some() {
        Box::new(classes().map(|one| (one, true)))
    } else {
        let is_below = move |one: &Queue| one.parent >> 16 == major && !std::ptr::eq(one, queue);
        Box::new(qdiscs.filter(move |(one, _)| is_below(one)))
    }
}

fn finding(window: &Window, all: &Qdiscs, loss: &Loss) -> Finding {
    let queue = loss.queue;
    let device = all.device(queue);
    let (sent, _) = loss.sent;
    let sentence =
        format!("{} dropped before being sent by {device}.", counted(loss.own, "packet was", "packets were"));
    let value = |name: &str, value: String| Evidence::value(name, value, Qdiscs::FROM);
    let waiting = format!(
        "{}, {} bytes",
        counted(queue.counts.waiting.into(), "packet", "packets"),
        queue.counts.backlog
    );
    let most = remedies::worst(&queue.kind, loss);
    let finding = Finding::new(
        Severity::of_loss(loss.own, sent).min(most),
        named(device, queue, loss.is_class),
        sentence,
    )
    .losing(window.rate(loss.own))
    .shown_by([loss.drops.clone()])
    .shown_by([value("sent", counted(sent, "packet", "packets")), value("waiting now", waiting)])
    .shown_by(queue.limit.map(|limit| value("limit", limit.to_string())))
    .shown_by(window.drops_of(&EXPLAINED))
    .shown_by(window.drops_of(&FREED))
    .explains(&EXPLAINED);
    remedies::for_loss(window, finding, all, loss)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{qdiscs, queue};
    use super::*;
    use crate::counters::qdiscs::{Bucket, QueueCounts, ROOT};
    use crate::doctor::made::Made;

    fn counts(drops: u32) -> QueueCounts {
        QueueCounts { drops, packets: 1000, bytes: 1_000_000, overlimits: drops, ..QueueCounts::default() }
    }

    fn made(after: impl IntoIterator<Item = Queue>) -> Made {
        Made::default().part(qdiscs([]), qdiscs(after))
    }

    #[test]
    fn a_bucket_that_holds_little() {
        let bucket = Some(Bucket { rate: 125_000, burst: 1540 });
        let tbf = Queue { limit: Some(3000), bucket, ..queue("tbf", 0x8001_0000, ROOT, counts(80)) };
        assert_snapshot!(made([tbf]).told(&CHECK));
    }

    #[test]
    fn the_plain_queue_of_a_device() {
        assert_snapshot!(made([queue("pfifo_fast", 0, ROOT, counts(300))]).told(&CHECK));
    }

    #[test]
    fn drops_below_are_told_where_they_are() {
        let of_mq = [
            queue("mq", 0, ROOT, counts(30)),
            queue("pfifo_fast", 0, 1, counts(30)),
            queue("pfifo_fast", 0, 2, counts(0)),
        ];
        let told = |made: Made| {
            let findings = made.check(&CHECK).unwrap();
            findings.into_iter().map(|finding| finding.subject).collect::<Vec<_>>()
        };
        assert_eq!(told(made(of_mq)), ["eth0: pfifo_fast of 0:1"]);
        let mut of_htb = qdiscs([
            queue("htb", 0x0001_0000, ROOT, counts(50)),
            queue("fq_codel", 0x8002_0000, 0x0001_0010, counts(20)),
        ]);
        of_htb.classes =
            vec![queue("htb", 0x0001_0010, ROOT, counts(20)), queue("htb", 0x0001_0020, ROOT, counts(30))];
        let told = told(Made::default().part(qdiscs([]), of_htb));
        assert_eq!(told, ["eth0: class 1:20 of htb", "eth0: fq_codel 8002:"]);
    }

    #[rstest::rstest]
    #[case::keeps_delay_short("fq_codel", Some(0), Severity::Info)]
    #[case::is_full("fq_codel", Some(40), Severity::Critical)]
    #[case::filters("clsact", None, Severity::Info)]
    #[case::loses_on_purpose("netem", None, Severity::Warning)]
    #[case::a_class("htb", None, Severity::Critical)]
    fn each_kind_is_judged(#[case] kind: &str, #[case] full: Option<u32>, #[case] severity: Severity) {
        let counts = QueueCounts { full, ..counts(40) };
        let findings = made([queue(kind, 0x8001_0000, ROOT, counts)]).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, severity, "{findings:?}");
    }

    /// `tc qdisc del` and `add` with the same handle, in the window.
    #[rstest::rstest]
    #[case::fewer_drops(5000, 80)]
    #[case::more_drops(20, 80)]
    fn one_that_was_made_anew_began_at_zero(#[case] before: u32, #[case] after: u32) {
        let of = |bytes, drops| {
            let counts = QueueCounts { bytes, ..counts(drops) };
            qdiscs([queue("tbf", 0x0001_0000, ROOT, counts)])
        };
        let findings = Made::default().part(of(1_000_000, before), of(5000, after)).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("80 packets were dropped"), "{findings:?}");
    }

    #[test]
    fn old_drops_are_over() {
        let tbf = || [queue("tbf", 0x8001_0000, ROOT, counts(80))];
        assert_eq!(Made::default().part(qdiscs(tbf()), qdiscs(tbf())).check(&CHECK), Ok(Vec::new()));
    }
}
