//! Queueing disciplines and their classes with what they counted: `RTM_GETQDISC` and `RTM_GETTCLASS` of rtnetlink(7), as `tc -s` reads them.

use std::collections::HashMap;
use std::io;
use std::sync::OnceLock;

use super::netlink::{attribute, dump, text, u32_at};

const RTM_GETLINK: u16 = 18;
const RTM_GETQDISC: u16 = 38;
const RTM_GETTCLASS: u16 = 42;
/// Bytes of `struct ifinfomsg`, and where its index is.
const IFINFOMSG: usize = 16;
const LINK_INDEX: usize = 4;
/// `IFLA_*` of `include/uapi/linux/if_link.h`.
const IFNAME: u16 = 3;
const TXQLEN: u16 = 13;
/// Bytes of `struct tcmsg`, and where its members are.
const TCMSG: usize = 20;
const IFINDEX: usize = 4;
const HANDLE: usize = 8;
const PARENT: usize = 12;
/// `TCA_*` of `include/uapi/linux/rtnetlink.h`.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const STATS2: u16 = 7;
/// `TCA_STATS_*` of `include/uapi/linux/gen_stats.h`: `struct gnet_stats_basic`, `struct gnet_stats_queue`, what the kind tells itself.
const BASIC: u16 = 1;
const QUEUE: u16 = 3;
const APP: u16 = 4;
/// `TCA_FQ_CODEL_LIMIT`, `TCA_FQ_PLIMIT`, `TCA_TBF_PARMS`, `TCA_TBF_RATE64` of `include/uapi/linux/pkt_sched.h`.
const FQ_CODEL_LIMIT: u16 = 2;
const FQ_LIMIT: u16 = 1;
const TBF_PARMS: u16 = 1;
const TBF_RATE64: u16 = 4;
/// In `struct tc_tbf_qopt`: the rate's bytes a second, the limit's bytes, the bucket's size in ticks.
const TBF_RATE: usize = 8;
const TBF_LIMIT: usize = 24;
const TBF_BUFFER: usize = 28;
/// Nanoseconds of a tick (`PSCHED_SHIFT`, `include/net/pkt_sched.h`).
const TICK: u64 = 64;
/// In `struct tc_fq_codel_xstats`, behind its type: `drop_overlimit`.
const FQ_CODEL_OVERLIMIT: usize = 8;
/// Kinds whose classes count for themselves.
const WITH_CLASSES: [&str; 6] = ["htb", "hfsc", "drr", "qfq", "ets", "prio"];
/// `TC_H_ROOT`.
pub const ROOT: u32 = u32::MAX;

/// All of a namespace.
#[derive(Debug, Clone, Default)]
pub struct Qdiscs {
    /// The devices.
    pub devices: Vec<QueueDevice>,
    /// Queueing disciplines.
    pub qdiscs: Vec<Queue>,
    /// Classes of those that have such as count.
    pub classes: Vec<Queue>,
    /// Where each of both is, once somebody asked.
    pub(crate) places: OnceLock<HashMap<QueueKey, usize>>,
}

/// Whether it is a class, its device, its handle and its parent.
pub(crate) type QueueKey = (bool, u32, u32, u32);

impl Queue {
    pub(crate) fn key(&self, is_class: bool) -> QueueKey {
        (is_class, self.device, self.handle, self.parent)
    }
}

/// A device that sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDevice {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How many packets its plain queues may hold (`txqueuelen`).
    pub queue_length: u32,
}

/// A queueing discipline, or a class of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// The device's index.
    pub device: u32,
    /// `fq_codel`, `htb`, …
    pub kind: String,
    /// `8001:` or, of a class, `1:10`; 0 of what the kernel made by itself.
    pub handle: u32,
    /// What it is below; [`ROOT`] at the top.
    pub parent: u32,
    /// How much it holds: packets, or bytes (`tbf`, `bfifo`); absent where the kind has no such limit, or another one.
    pub limit: Option<u32>,
    /// What a `tbf` lets through.
    pub bucket: Option<Bucket>,
    /// What was counted.
    pub counts: QueueCounts,
}

/// What a `tbf` lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes at once.
    pub burst: u64,
}

/// Numbers of a queue. The kernel counts in 32 bits, but for bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u32,
    /// Packets that wait.
    pub waiting: u32,
    /// Bytes that wait.
    pub backlog: u32,
    /// Packets dropped.
    pub drops: u32,
    /// Packets that the driver had no room for, and that went back.
    pub requeues: u32,
    /// How often a limit of the rate, or of the queue, was reached.
    pub overlimits: u32,
    /// Drops of `fq_codel` as it was full, and not to keep delay short.
    pub full: Option<u32>,
}

/// Those of the caller's namespace.
///
/// # Errors
/// When the kernel doesn't answer.
pub fn read() -> io::Result<Qdiscs> {
    let devices = dump(RTM_GETLINK, &[0; IFINFOMSG])?.iter().filter_map(|message| device(message)).collect();
    let qdiscs: Vec<Queue> =
        dump(RTM_GETQDISC, &[0; TCMSG])?.iter().filter_map(|message| queue(message)).collect();
    let mut with_classes: Vec<u32> = qdiscs
        .iter()
        .filter(|qdisc| WITH_CLASSES.contains(&qdisc.kind.as_str()))
        .map(|qdisc| qdisc.device)
        .collect();
    with_classes.dedup();
    let mut classes = Vec::new();
    for index in with_classes {
        let mut request = [0; TCMSG];
        request[IFINDEX..HANDLE].copy_from_slice(&index.to_ne_bytes());
        classes.extend(dump(RTM_GETTCLASS, &request)?.iter().filter_map(|message| queue(message)));
    }
    classes.retain(|class| WITH_CLASSES.contains(&class.kind.as_str()));
    Ok(Qdiscs { devices, qdiscs, classes, places: OnceLock::new() })
}

/// One `RTM_NEWLINK`; nothing where it isn't whole.
pub fn device(message: &[u8]) -> Option<QueueDevice> {
    let attributes = message.get(IFINFOMSG..)?;
    let queue_length = attribute(attributes, TXQLEN).and_then(|length| u32_at(length, 0)).unwrap_or(0);
    Some(QueueDevice {
        index: u32_at(message, LINK_INDEX)?,
        name: text(attribute(attributes, IFNAME)?),
        queue_length,
    })
}

/// One `RTM_NEWQDISC` or `RTM_NEWTCLASS`; nothing where it isn't whole.
pub fn queue(message: &[u8]) -> Option<Queue> {
    let attributes = message.get(TCMSG..)?;
    let kind = text(attribute(attributes, KIND)?);
    let options = attribute(attributes, OPTIONS).unwrap_or_default();
    let bucket = attribute(options, TBF_PARMS).filter(|_| kind == "tbf");
    let number = |kind| attribute(options, kind).and_then(|number| u32_at(number, 0));
    let limit = match kind.as_str() {
        "pfifo" | "bfifo" => u32_at(options, 0),
        "fq_codel" => number(FQ_CODEL_LIMIT),
        "fq" => number(FQ_LIMIT),
        _ => bucket.and_then(|parameters| u32_at(parameters, TBF_LIMIT)),
    };
    Some(Queue {
        device: u32_at(message, IFINDEX)?,
        handle: u32_at(message, HANDLE)?,
        parent: u32_at(message, PARENT)?,
        limit,
        bucket: bucket.and_then(|parameters| self::bucket(parameters, attribute(options, TBF_RATE64))),
        counts: counts(attribute(attributes, STATS2).unwrap_or_default(), &kind),
        kind,
    })
}

fn bucket(parameters: &[u8], rate64: Option<&[u8]>) -> Option<Bucket> {
    let large = rate64.and_then(|rate| Some(u64::from_ne_bytes(*rate.first_chunk()?)));
    let rate = large.or_else(|| u32_at(parameters, TBF_RATE).map(u64::from))?;
    let nanoseconds = u64::from(u32_at(parameters, TBF_BUFFER)?) * TICK;
    // Rounded up: a bucket that is smaller than a frame lets none through.
    let burst = (u128::from(rate) * u128::from(nanoseconds)).div_ceil(1_000_000_000);
    Some(Bucket { rate, burst: u64::try_from(burst).unwrap_or(u64::MAX) })
}

fn counts(stats: &[u8], kind: &str) -> QueueCounts {
    let basic = attribute(stats, BASIC).unwrap_or_default();
    let queue = attribute(stats, QUEUE).unwrap_or_default();
    let number = |place: usize| u32_at(queue, place * 4).unwrap_or(0);
    let own = attribute(stats, APP).filter(|_| kind == "fq_codel");
    QueueCounts {
        bytes: basic.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)),
        packets: u32_at(basic, 8).unwrap_or(0),
        waiting: number(0),
        backlog: number(1),
        drops: number(2),
        requeues: number(3),
        overlimits: number(4),
        full: own.and_then(|own| u32_at(own, FQ_CODEL_OVERLIMIT)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn message(kind: &[u8], options: &[u8], own: &[u8]) -> Vec<u8> {
        let basic = [9000_u64.to_ne_bytes().as_slice(), &words(&[12, 0])].concat();
        let stats = [
            encoded(BASIC, &basic),
            // A kernel may write more than we know.
            encoded(QUEUE, &words(&[3, 4542, 17, 2, 99, 7])),
            encoded(APP, own),
        ];
        [
            words(&[0, 7, 0x8001_0000, ROOT, 2]),
            encoded(KIND, kind),
            encoded(OPTIONS, options),
            encoded(STATS2, &stats.concat()),
        ]
        .concat()
    }

    #[test]
    fn a_bucket_with_its_rate() {
        let mut parameters = vec![0; 36];
        parameters[TBF_RATE..TBF_RATE + 4].copy_from_slice(&125_000_u32.to_ne_bytes());
        parameters[TBF_LIMIT..TBF_LIMIT + 4].copy_from_slice(&3000_u32.to_ne_bytes());
        // What 125,000 bytes a second need 12.32 ms for.
        parameters[TBF_BUFFER..TBF_BUFFER + 4].copy_from_slice(&192_500_u32.to_ne_bytes());
        let tbf = queue(&message(b"tbf\0", &encoded(TBF_PARMS, &parameters), &[])).unwrap();
        assert_eq!((tbf.device, tbf.handle, tbf.parent, tbf.limit), (7, 0x8001_0000, ROOT, Some(3000)));
        assert_eq!(tbf.bucket, Some(Bucket { rate: 125_000, burst: 1540 }));
        let counts = QueueCounts {
            bytes: 9000,
            packets: 12,
            waiting: 3,
            backlog: 4542,
            drops: 17,
            requeues: 2,
            overlimits: 99,
            full: None,
        };
        assert_eq!(tbf.counts, counts);
    }

    #[rstest::rstest]
    #[case(b"pfifo\0", words(&[1000]), Some(1000), None)]
    #[case(b"fq_codel\0", encoded(FQ_CODEL_LIMIT, &words(&[10_240])), Some(10_240), Some(5))]
    #[case(b"fq\0", encoded(FQ_LIMIT, &words(&[10_000])), Some(10_000), None)]
    #[case(b"htb\0", Vec::new(), None, None)]
    fn each_kind_has_its_limit(
        #[case] kind: &[u8],
        #[case] options: Vec<u8>,
        #[case] limit: Option<u32>,
        #[case] full: Option<u32>,
    ) {
        let queue = queue(&message(kind, &options, &words(&[0, 1514, 5, 0]))).unwrap();
        assert_eq!((queue.limit, queue.counts.full), (limit, full));
    }

    #[test]
    fn the_kernel_answers() {
        let qdiscs = read().unwrap();
        assert!(qdiscs.devices.iter().any(|device| device.name == "lo"));
        assert!(qdiscs.qdiscs.iter().all(|qdisc| !qdisc.kind.is_empty()));
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..160), kind in "tbf|fq_codel|fq|pfifo", options in proptest::collection::vec(0..36_u8, 0..60)) {
            let _ = (device(&bytes), queue(&bytes));
            let _ = queue(&message(kind.as_bytes(), &options, &bytes));
        }
    }
}
