//! Why each kind of queueing discipline drops, and what helps.

use super::drops::Loss;
use super::handle;
use crate::counters::qdiscs::{Qdiscs, Queue, ROOT};
use crate::doctor::shell::shell;
use crate::doctor::{Certainty, Finding, Remedy, Severity, Window};
use crate::units::bytes;

/// More than a tenth of a second of full frames at 1 Gbit/s: whoever needs more sends too fast.
const MOST_PACKETS: u64 = 16_384;
/// The same in bytes.
const MOST_BYTES: u64 = 16 << 20;
/// They drop so that senders slow down, long before they are full.
const ACTIVE: [&str; 7] = ["fq_codel", "codel", "pie", "fq_pie", "red", "cake", "dualpi2"];
/// What packets meet there are filters.
const FILTERS: [&str; 2] = ["ingress", "clsact"];
const KEPT: &str = "where the device is set up: a script or unit that runs the same command, or [Link] TransmitQueueLength= of systemd.link(5) for txqueuelen";
const DELAY: &str = "A longer queue carries bursts. Where more is sent than the link or the shaper takes all the time, it turns loss into delay.";

/// How bad it can be: what works as it is meant to isn't worse than that.
pub fn worst(kind: &str, loss: &Loss) -> Severity {
    match kind {
        _ if FILTERS.contains(&kind) || keeps_delay_short(kind, loss) => Severity::Info,
        "netem" => Severity::Warning,
        _ => Severity::Critical,
    }
}

/// Active queue management at work; `fq_codel` tells how many of its drops were others.
fn keeps_delay_short(kind: &str, loss: &Loss) -> bool {
    ACTIVE.contains(&kind) && loss.full.is_none_or(|full| full.saturating_mul(2) < loss.own)
}

/// The finding with its cause and what helps.
pub fn for_loss(window: &Window, finding: Finding, all: &Qdiscs, loss: &Loss) -> Finding {
    let (queue, device) = (loss.queue, &*shell(all.device(loss.queue)));
    let look = format!("tc -s -d {} show dev {device}", if loss.is_class { "class" } else { "qdisc" });
    match queue.kind.as_str() {
        kind if FILTERS.contains(&kind) => finding
            .because(Certainty::Likely, "A filter of tc dropped them: that is what it was told.")
            .remedy(Remedy { now: filters(device, kind), ..Remedy::advice("See which one.") }.inside(window))
            .caution("A filter is somebody's will (of Kubernetes' network, for example): ask whose it is."),
        kind if keeps_delay_short(kind, loss) => finding
            .because(Certainty::Likely, "Senders fill the link, and active queue management tells them to slow down: it works as it is meant to.")
            .remedy(Remedy::advice("Nothing, where the link is simply full. With ECN (net.ipv4.tcp_ecn=1 at both ends) packets are marked, not dropped."))
            .caution("A larger target makes delay longer for all."),
        "netem" => finding
            .because(Certainty::Likely, "netem is there to lose and delay packets, for a test: was it left behind?")
            .remedy(Remedy::command("Take it out.", format!("tc qdisc del dev {device} {}", place(queue))).inside(window))
            .caution("Ask whose test it is."),
        _ => {
            let finding = finding
                .because(Certainty::Likely, "More is sent at once than the queue holds, or all the time more than the link or the shaper takes.")
                .caution(DELAY);
            let finding = match longer(all, loss, device) {
                Some((what, command)) => finding.remedy(Remedy::command(what, command).inside(window).kept_by(KEPT)),
                None => finding.remedy(Remedy::command("See its limits and rates.", look).inside(window)),
            };
            finding.remedy(Remedy::advice(
                "Where it goes on all the time: a higher rate of the shaper or class, a faster link, or less that is sent.",
            ))
        }
    }
}

fn filters(device: &str, kind: &str) -> Vec<String> {
    let ways: &[&str] = if kind == "ingress" { &["ingress"] } else { &["ingress", "egress"] };
    ways.iter().map(|way| format!("tc -s filter show dev {device} {way}")).collect()
}

/// A queue that had held what came, had it come at once.
fn longer(all: &Qdiscs, loss: &Loss, device: &str) -> Option<(String, String)> {
    let queue = loss.queue;
    let enough = |limit: u64, more: u64, most: u64| {
        Some((limit + more).next_power_of_two().min(most)).filter(|enough| *enough > limit)
    };
    let packets = |limit: u32| enough(limit.into(), loss.own, MOST_PACKETS);
    let in_bytes = |limit: u32| enough(limit.into(), loss.own.saturating_mul(average(loss)), MOST_BYTES);
    let replace = |kind: &str, words: String| {
        let number =
            if queue.handle == 0 { String::new() } else { format!(" handle {}", handle(queue.handle)) };
        format!("tc qdisc replace dev {device} {}{number} {kind} {words}", place(queue))
    };
    let told = |what: u64| format!("Let it hold {what} packets.");
    match (queue.kind.as_str(), queue.limit) {
        ("htb", _) if loss.is_class => {
            let enough = packets(all.queue_length(queue))?;
            let command =
                format!("tc qdisc replace dev {device} parent {} pfifo limit {enough}", handle(queue.handle));
            Some((format!("Give the class a queue of {enough} packets."), command))
        }
        ("pfifo_fast", _) => {
            let enough = packets(all.queue_length(queue))?;
            Some((told(enough), format!("ip link set dev {device} txqueuelen {enough}")))
        }
        (kind @ ("pfifo" | "fq_codel" | "fq"), Some(limit)) => {
            let enough = packets(limit)?;
            Some((told(enough), replace(kind, format!("limit {enough}"))))
        }
        ("bfifo", Some(limit)) => {
            let enough = in_bytes(limit)?;
            Some((format!("Let it hold {}.", bytes(enough)), replace("bfifo", format!("limit {enough}"))))
        }
        ("tbf", Some(limit)) => {
            let bucket = queue.bucket?;
            // More than a second's worth is delay that nobody wants.
            let most = MOST_BYTES.min(bucket.rate.max(1));
            let enough = enough(limit.into(), loss.own.saturating_mul(average(loss)), most)?;
            let words = format!("rate {}bit burst {} limit {enough}", bucket.rate * 8, bucket.burst);
            let delay = enough.saturating_mul(1000) / bucket.rate.max(1);
            let what = format!("Let it hold {}: a packet waits for up to {delay} ms then.", bytes(enough));
            Some((what, replace("tbf", words)))
        }
        _ => None,
    }
}

/// Bytes of a packet; of a full frame where none was sent.
fn average(loss: &Loss) -> u64 {
    const FRAME: u64 = 1514;
    let (packets, bytes) = loss.sent;
    bytes.checked_div(packets).unwrap_or(FRAME).max(FRAME)
}

/// Where it hangs, in tc's words.
fn place(queue: &Queue) -> String {
    match queue.parent {
        ROOT => "root".into(),
        parent => format!("parent {}", handle(parent)),
    }
}
