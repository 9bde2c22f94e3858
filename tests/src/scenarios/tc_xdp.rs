//! Traffic control, XDP, programs on cgroups.

use std::fs::File;
use std::net::UdpSocket;

use anyhow::{Result, ensure};

use super::owner::{Cgroup, Hierarchy};
use super::shape::{ETHER_V4, EXPECT, UDP, V4, inject};
use crate::bpf::{XDP_DROP, XDP_REDIRECT, XdpMode, attach_cgroup_egress_drop, attach_xdp};
use crate::lab::{Lab, Namespace, RECEIVER};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::Ethernet;

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    let qdisc = Expect {
        functions: &[
            "__dev_queue_xmit",
            "__dev_xmit_skb",
            "__tcf_kfree_skb_list",
            "kfree_skb_list_reason",
            "kfree_skb_list",
        ],
        at: At::Sender,
        device: "s0",
        ..EXPECT
    };
    vec![
        Scenario {
            name: "tc-ingress-drop",
            prepare: |count| {
                let lab = Lab::pair()?;
                classifier(&lab.receiver, "r0", "ingress")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["TC_INGRESS", "NOT_SPECIFIED"],
                functions: &["__netif_receive_skb_core", "sch_handle_ingress"],
                ..EXPECT
            },
        },
        Scenario {
            name: "tc-ingress-drop-of-a-tagged-frame",
            prepare: |count| {
                let lab = Lab::pair()?;
                classifier(&lab.receiver, "r0", "ingress")?;
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["TC_INGRESS", "NOT_SPECIFIED"],
                functions: &["__netif_receive_skb_core", "sch_handle_ingress"],
                packet: &[("/vlan/0", "42"), ("/destination/port", "9")],
                ..EXPECT
            },
        },
        Scenario {
            name: "tc-egress-drop",
            prepare: |count| {
                let lab = Lab::pair()?;
                classifier(lab.from(), "s0", "egress")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["TC_EGRESS", "NOT_SPECIFIED"],
                functions: &["__dev_queue_xmit", "sch_handle_egress"],
                at: At::Sender,
                device: "s0",
                ..EXPECT
            },
        },
        Scenario {
            name: "qdisc-fifo-full",
            prepare: |count| qdisc_full(&[("tbf", "root tbf rate 8bit burst 1540 limit 2000")], count),
            expect: Expect { reasons: &["QDISC_DROP_GENERIC", "QDISC_DROP", "NOT_SPECIFIED"], ..qdisc },
        },
        Scenario {
            name: "qdisc-fq-codel-full",
            prepare: |count| qdisc_full(&[SLOW, ("fq_codel", "parent 1:1 fq_codel limit 1")], count),
            expect: Expect {
                reasons: &["QDISC_DROP_OVERLIMIT", "QDISC_OVERLIMIT", "QDISC_DROP", "NOT_SPECIFIED"],
                ..qdisc
            },
        },
        Scenario {
            name: "xdp-generic-drop",
            prepare: |count| xdp(XdpMode::Generic, XDP_DROP, count),
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &[
                    "do_xdp_generic",
                    "netif_receive_generic_xdp",
                    "bpf_prog_run_generic_xdp",
                    "__netif_receive_skb_core",
                ],
                ..EXPECT
            },
        },
        // A redirection to nowhere. A drop by generic XDP is the program's own will and has no reason of its own.
        Scenario {
            name: "xdp-generic-redirect-fails",
            prepare: |count| xdp(XdpMode::Generic, XDP_REDIRECT, count),
            expect: Expect {
                reasons: &["XDP", "NOT_SPECIFIED"],
                functions: &["do_xdp_generic", "__netif_receive_skb_core"],
                ..EXPECT
            },
        },
        Scenario {
            name: "tc-reclassified-without-end",
            prepare: |count| {
                let lab = Lab::pair()?;
                lab.receiver.feature("clsact", "tc qdisc add dev r0 clsact", "")?;
                let filter = "filter add dev r0 ingress matchall action gact reclassify\n";
                lab.receiver.feature("matchall and gact", "tc -batch -", filter)?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["TC_RECLASSIFY_LOOP", "TC_INGRESS", "NOT_SPECIFIED"],
                functions: &["__netif_receive_skb_core", "sch_handle_ingress"],
                ..EXPECT
            },
        },
        Scenario {
            name: "cgroup-egress-drop",
            prepare: cgroup_egress,
            expect: Expect {
                reasons: &["BPF_CGROUP_EGRESS", "NOT_SPECIFIED"],
                functions: &["ip_finish_output", "__ip_finish_output"],
                device: "lo",
                ..EXPECT
            },
        },
        // A driver's own XDP drop frees the page before there is an skb, which no tracepoint of skbs shows; veth is
        // the exception, because what comes from the stack already is an skb.
        Scenario {
            name: "xdp-native-drop-on-veth",
            prepare: |count| xdp(XdpMode::Native, XDP_DROP, count),
            expect: Expect {
                reasons: &["NOT_SPECIFIED"],
                functions: &["veth_xdp_rcv_skb", "veth_poll"],
                ..EXPECT
            },
        },
    ]
}

/// A classifier that drops: classic BPF that returns 2, `TC_ACT_SHOT`, as its direct action.
pub fn classifier(namespace: &Namespace, device: &str, hook: &str) -> Result<()> {
    namespace.feature("clsact", &format!("tc qdisc add dev {device} clsact"), "")?;
    let filter = format!("filter add dev {device} {hook} bpf da bytecode \"1,6 0 0 2,\"\n");
    namespace.feature("cls_bpf", "tc -batch -", &filter)
}

/// A bucket that lets a byte through every second in front of a queue of two kilobytes: full after the first.
/// A bucket that lets one packet through, and holds what its child takes.
const SLOW: (&str, &str) = ("tbf", "root handle 1: tbf rate 8bit burst 1540 limit 200000");

/// Queueing disciplines by name and tc's words, one below the other.
fn qdisc_full(qdiscs: &[(&str, &str)], count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    for (name, words) in qdiscs {
        lab.from().feature(name, &format!("tc qdisc add dev s0 {words}"), "")?;
    }
    let socket = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    let payload = [0; 1000];
    // One packet uses up the bucket, the next fills the queue, the rest is dropped.
    for _ in 0..8 {
        socket.send_to(&payload, (RECEIVER.v4, 9))?;
    }
    Stage::new(lab, move |_| {
        for _ in 0..count {
            socket.send_to(&payload, (RECEIVER.v4, 9))?;
        }
        Ok(())
    })
}

fn xdp(mode: XdpMode, verdict: u32, count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    let devices = lab.receiver.devices()?;
    let (index, _) = devices.iter().find(|(_, name)| name == RECEIVER.device).expect("the pair has it");
    let link = lab.receiver.enter(|| attach_xdp(*index, mode, verdict))?;
    let mut stage = inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)?;
    stage.keep(link);
    Ok(stage)
}

/// A socket made inside a cgroup whose program refuses what it sends.
fn cgroup_egress(count: u64) -> Result<Stage> {
    let cgroup = Cgroup::create(Hierarchy::Unified, "netdrop-egress")?;
    let link = attach_cgroup_egress_drop(&File::open(cgroup.path())?)?;
    let lab = Lab::alone()?;
    let socket = cgroup.inside(|| lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?)))?;
    let mut stage = Stage::new(lab, move |_| {
        for _ in 0..count {
            ensure!(socket.send_to(b"hey", "127.0.0.1:9").is_err(), "the program let a datagram out");
        }
        Ok(())
    })?;
    stage.keep(link);
    stage.keep(cgroup);
    Ok(stage)
}
