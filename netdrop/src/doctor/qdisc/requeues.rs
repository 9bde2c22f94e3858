//! `qdisc-requeues`: packets that the driver had no room for, and that went back to wait (`dev_requeue_skb`, `net/sched/sch_generic.c`).

use super::named;
use crate::counters::qdiscs::{Qdiscs, Queue};
use crate::doctor::ports::{Ports, longer};
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "qdisc-requeues",
    area: Area::Qdisc,
    scope: Scope::Netns,
    needs: &[source::<Qdiscs>(), source::<Ports>()],
    run,
};

/// One in so many, and no fewer than that: now and then a ring is full under plain load, and nothing is lost by it.
const SHARE: u64 = 100;
const STRAYS: u64 = 100;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Qdiscs>()?;
    // The sum of a card's queues tells nothing that they don't.
    let queues = after.qdiscs.iter().filter(|queue| queue.kind != "mq");
    Ok(queues.filter_map(|queue| of_queue(window, before, after, queue)).collect())
}

fn of_queue(window: &Window, before: &Qdiscs, after: &Qdiscs, queue: &Queue) -> Option<Finding> {
    let was = before.counted(queue, false);
    let moved = |name: &str, was, is| Moved::of_32_bits(name, (was, is), window.lasted, Qdiscs::FROM);
    let requeues = moved("requeues", was.requeues, queue.counts.requeues);
    let sent = moved("packets", was.packets, queue.counts.packets);
    if requeues.by() < STRAYS || requeues.by().saturating_mul(SHARE) < sent.by() {
        return None;
    }
    let device = after.device(queue);
    let sentence = format!(
        "{} of {} packets found the driver of {device} without room, and had to wait.",
        requeues.by(),
        sent.by()
    );
    let waiting = counted(queue.counts.waiting.into(), "packet", "packets");
    let remedy = larger_ring(window, device, requeues.by()).unwrap_or_else(|| {
        Remedy::command("See the ring's size, now and at most.", format!("ethtool -g {}", shell(device)))
            .inside(window)
    });
    Some(
        Finding::new(Severity::Info, named(device, queue, false), sentence)
            .shown_by([requeues, sent])
            .shown_by([Evidence::value("waiting now", waiting, Qdiscs::FROM)])
            .because(
                Certainty::Likely,
                "The device's ring is full: the link is slower than what is sent, the other side sends pause frames, or the ring is cleaned late.",
            )
            .remedy(remedy)
            .remedy(Remedy::advice(
                "Where the link isn't full: more queues (`ethtool -L`), a larger ring (`ethtool -G`), interrupts that come sooner (`ethtool -C`).",
            ))
            .caution("Nothing is lost by it. A larger ring makes delay longer, and setting it restarts the device."),
    )
}

/// Where the device tells of its ring, and it can be larger.
fn larger_ring(window: &Window, device: &str, without_room: u64) -> Option<Remedy> {
    let ports = window.now::<Ports>().ok()?;
    let port = ports.all.iter().find(|port| port.name() == device)?;
    let (now, most) = port.told.transmit_ring?;
    let enough = longer((now, most), without_room)?;
    let what =
        format!("Give bursts room: a transmit ring of {enough} packets instead of {now}; at most {most}.");
    Some(port.remedy(window, what, "tx-ring", ("-G", &format!("tx {enough}"))))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{qdiscs, queue};
    use super::*;
    use crate::counters::ethtool_netlink::Told;
    use crate::counters::qdiscs::{QueueCounts, ROOT};
    use crate::doctor::made::Made;
    use crate::doctor::ports;
    use crate::doctor::ports::made::port;

    fn made(requeues: u32, packets: u32) -> Made {
        let of = |requeues, packets| {
            qdiscs([queue("fq_codel", 0, ROOT, QueueCounts { packets, requeues, ..QueueCounts::default() })])
        };
        Made::default().part(of(u32::MAX, 5), of(requeues - 1, 5 + packets))
    }

    #[test]
    fn the_ring_is_full() {
        assert_snapshot!(made(900, 40_000).told(&CHECK));
    }

    #[test]
    fn a_ring_that_can_be_larger() {
        let told = |now| Told { transmit_ring: Some((now, 4096)), ..Told::default() };
        let of = |now| ports::made::told(port(0, &[]), told(now));
        assert_snapshot!(made(900, 40_000).part(of(512), of(512)).told(&CHECK));
        let full = made(900, 40_000).part(of(4096), of(4096)).check(&CHECK).unwrap();
        assert_eq!(full[0].remedies[0].now, ["ethtool -g eth0"]);
    }

    #[rstest::rstest]
    #[case::a_small_share(900, 90_001)]
    #[case::strays(99, 99)]
    fn some_are_as_it_should_be(#[case] requeues: u32, #[case] packets: u32) {
        assert_eq!(made(requeues, packets).check(&CHECK), Ok(Vec::new()));
    }
}
