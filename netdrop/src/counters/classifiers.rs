//! The filters of tc(8) on a device's way in and out, with what their actions dropped: `RTM_GETTFILTER`.

use std::io;

use super::netlink::{attribute, attributes, dump, text, u32_at};
use crate::model::Direction;

const RTM_GETTFILTER: u16 = 46;
/// Bytes of `struct tcmsg`, and where its members are.
const TCMSG: usize = 20;
const IFINDEX: usize = 4;
const HANDLE: usize = 8;
const PARENT: usize = 12;
const INFO: usize = 16;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)`, `…_EGRESS` of `include/uapi/linux/pkt_sched.h`; the first is the plain
/// ingress qdisc's too.
const PARENT_INGRESS: u32 = 0xffff_fff2;
const PARENT_EGRESS: u32 = 0xffff_fff3;
/// `TCA_*` of `include/uapi/linux/rtnetlink.h`.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const CHAIN: u16 = 11;
/// `TCA_BPF_*`, `TCA_ACT_*`, `TCA_STATS_QUEUE` of `include/uapi/linux/{pkt_cls,gen_stats}.h`.
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
const BPF_ID: u16 = 11;
const BPF_FLAG_DIRECT: u32 = 1;
const ACT_KIND: u16 = 1;
const ACT_STATS: u16 = 4;
const STATS_QUEUE: u16 = 3;
/// Where `struct gnet_stats_queue` has its drops.
const QUEUE_DROPS: usize = 8;

/// A filter that may drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classifier {
    /// The device's index.
    pub ifindex: u32,
    /// Which way.
    pub direction: Direction,
    /// `bpf`, `u32`, `flower`, …
    pub kind: String,
    /// Its chain, 0 unless others are used.
    pub chain: u32,
    /// Its priority: tc(8) calls it `pref`.
    pub priority: u16,
    /// Its handle.
    pub handle: u32,
    /// The eBPF program of a `bpf` filter (classic ones have none).
    pub program: Option<u32>,
    /// What a `bpf` filter was loaded from.
    pub name: Option<String>,
    /// Whether its program's answer is the verdict (`direct-action`).
    pub is_direct: bool,
    /// Its actions.
    pub actions: Vec<Action>,
}

/// An action of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `gact`, `police`, `bpf`, …
    pub kind: String,
    /// Packets that it dropped; the kernel counts them in 32 bits. Absent without statistics.
    pub drops: Option<u32>,
}

/// The filters of a device of the caller's namespace, both ways.
pub fn read(ifindex: u32) -> io::Result<Vec<Classifier>> {
    let mut filters = Vec::new();
    for (parent, direction) in [(PARENT_INGRESS, Direction::Ingress), (PARENT_EGRESS, Direction::Egress)] {
        let mut request = [0; TCMSG];
        request[IFINDEX..HANDLE].copy_from_slice(&ifindex.to_ne_bytes());
        request[PARENT..INFO].copy_from_slice(&parent.to_ne_bytes());
        match dump(RTM_GETTFILTER, &request) {
            Ok(messages) => filters.extend(messages.iter().filter_map(|one| classifier(one, direction))),
            // No such qdisc, or a kernel without traffic control.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filters)
}

/// One `RTM_NEWTFILTER`; nothing where it isn't whole, or is the head of a list of filters.
pub fn classifier(message: &[u8], direction: Direction) -> Option<Classifier> {
    let attributes = message.get(TCMSG..)?;
    let kind = text(attribute(attributes, KIND)?);
    let options = attribute(attributes, OPTIONS)?;
    let handle = u32_at(message, HANDLE).filter(|handle| *handle != 0)?;
    let is_bpf = kind == "bpf";
    let bpf = |number| attribute(options, number).filter(|_| is_bpf);
    // Priority above, protocol below.
    let info = u32_at(message, INFO)?;
    Some(Classifier {
        ifindex: u32_at(message, IFINDEX)?,
        direction,
        chain: attribute(attributes, CHAIN).and_then(|chain| u32_at(chain, 0)).unwrap_or(0),
        priority: u16::try_from(info >> 16).unwrap_or(0),
        handle,
        program: bpf(BPF_ID).and_then(|id| u32_at(id, 0)),
        name: bpf(BPF_NAME).map(text),
        is_direct: bpf(BPF_FLAGS)
            .and_then(|flags| u32_at(flags, 0))
            .is_some_and(|flags| flags & BPF_FLAG_DIRECT != 0),
        actions: actions(&kind, options),
        kind,
    })
}

/// Where each kind of filter keeps its actions: `TCA_*_ACT` of `include/uapi/linux/pkt_cls.h`.
fn actions(kind: &str, options: &[u8]) -> Vec<Action> {
    let number = match kind {
        "bpf" | "cgroup" => 1,
        "matchall" => 2,
        "flower" | "basic" => 3,
        "fw" => 4,
        "flow" => 9,
        "route" => 6,
        "u32" => 7,
        _ => return Vec::new(),
    };
    let list = attribute(options, number).unwrap_or_default();
    attributes(list).filter_map(|(_, one)| action(one)).collect()
}

fn action(attributes: &[u8]) -> Option<Action> {
    let stats = attribute(attributes, ACT_STATS).and_then(|stats| attribute(stats, STATS_QUEUE));
    Some(Action {
        kind: text(attribute(attributes, ACT_KIND)?),
        drops: stats.and_then(|queue| u32_at(queue, QUEUE_DROPS)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    fn message(kind: &[u8], options: &[u8]) -> Vec<u8> {
        let words = [0, 7, 0x8000_0800, PARENT_INGRESS, 49152 << 16 | 8];
        let mut message: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        message.extend(encoded(KIND, kind));
        message.extend(encoded(OPTIONS, options));
        message.extend(encoded(CHAIN, &3_u32.to_ne_bytes()));
        message
    }

    #[test]
    fn a_filter_with_an_action_that_drops() {
        let queue: Vec<u8> = [0, 0, 5, 0, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        let gact = [encoded(ACT_KIND, b"gact\0"), encoded(ACT_STATS, &encoded(STATS_QUEUE, &queue))].concat();
        let classifier =
            classifier(&message(b"u32\0", &encoded(7, &encoded(1, &gact))), Direction::Ingress).unwrap();
        let expected = Classifier {
            ifindex: 7,
            direction: Direction::Ingress,
            kind: "u32".into(),
            chain: 3,
            priority: 49152,
            handle: 0x8000_0800,
            program: None,
            name: None,
            is_direct: false,
            actions: vec![Action { kind: "gact".into(), drops: Some(5) }],
        };
        assert_eq!(classifier, expected);
    }

    #[test]
    fn a_program() {
        let one = 1_u32.to_ne_bytes();
        let options =
            [encoded(BPF_NAME, b"fw.o:[tc]\0"), encoded(BPF_FLAGS, &one), encoded(BPF_ID, &[42, 0, 0, 0])];
        let classifier = classifier(&message(b"bpf\0", &options.concat()), Direction::Egress).unwrap();
        assert_eq!((classifier.program, classifier.is_direct), (Some(42), true));
        assert_eq!(classifier.name.as_deref(), Some("fw.o:[tc]"));
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in "bpf|u32|flower", options in proptest::collection::vec(0..9_u8, 0..60)) {
            let _ = classifier(&bytes, Direction::Ingress);
            let _ = classifier(&message(kind.as_bytes(), &options), Direction::Egress);
        }
    }
}
