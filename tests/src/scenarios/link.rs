//! Below IP: addresses of others, VLANs, bridges, tunnels, devices that can't take more.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};

use super::shape::{ETHER_V4, EXPECT, UDP, V4, inject};
use crate::lab::{Lab, Namespace, Skip, wait_running};
use crate::scenario::{At, Expect, Scenario, Stage};
use crate::traffic::Ethernet;

const OTHERHOST: Expect =
    Expect { reasons: &["OTHERHOST", "NOT_SPECIFIED"], functions: &["ip_rcv_core"], ..EXPECT };
const BRIDGE: Expect = Expect { functions: &["br_handle_frame", "br_handle_frame_finish"], ..EXPECT };

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "link-other-hosts-frame",
            prepare: |count| {
                let ethernet = Ethernet { destination: [2, 0, 0, 0, 0, 0x99], ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: OTHERHOST,
        },
        Scenario {
            name: "link-vlan-without-device",
            prepare: |count| {
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["OTHERHOST", "UNHANDLED_PROTO", "NOT_SPECIFIED"],
                functions: &["ip_rcv_core", "__netif_receive_skb_core"],
                // The kernel clears the tag of a VLAN that nobody has before it drops the frame.
                ..EXPECT
            },
        },
        Scenario {
            name: "link-vlan-closed-port",
            prepare: |count| {
                let lab = Lab::pair()?;
                let link = "link add link r0 name r0.42 type vlan id 42\nlink set r0.42 up\n";
                lab.receiver.feature("vlan", "ip -batch -", link)?;
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["NO_SOCKET"],
                functions: &["udp_rcv", "__udp4_lib_rcv"],
                device: "r0.42",
                ..EXPECT
            },
        },
        Scenario {
            name: "link-unhandled-ethertype",
            prepare: |count| {
                let ethernet = Ethernet { ethertype: 0x88b5, ..ETHER_V4 };
                inject(Lab::pair()?, ethernet.wrap(b"local experiment"), count)
            },
            expect: Expect {
                reasons: &["UNHANDLED_PROTO", "NOT_SPECIFIED"],
                functions: &["__netif_receive_skb_core"],
                protocol: "",
                ..EXPECT
            },
        },
        Scenario {
            name: "veth-peer-down",
            prepare: peer_down,
            expect: Expect {
                reasons: &["QDISC_DROP", "NOT_SPECIFIED"],
                functions: &[
                    "__dev_queue_xmit",
                    "__tcf_kfree_skb_list",
                    "kfree_skb_list_reason",
                    "kfree_skb_list",
                ],
                at: At::Sender,
                device: "s0",
                ..EXPECT
            },
        },
        Scenario {
            name: "bridge-port-blocked",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "stp_state 1 forward_delay 3000")?;
                inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect { reasons: &["BRIDGE_INGRESS_STP_STATE", "NOT_SPECIFIED"], ..BRIDGE },
        },
        Scenario {
            name: "bridge-vlan-not-allowed",
            prepare: |count| {
                let lab = Lab::pair()?;
                bridge(&lab.receiver, "vlan_filtering 1")?;
                let ethernet = Ethernet { vlan: Some(42), ..ETHER_V4 };
                inject(lab, ethernet.wrap(&UDP.packet(&V4, b"hello")), count)
            },
            expect: Expect {
                reasons: &["VLAN_FILTER", "NOT_SPECIFIED"],
                functions: &["br_allowed_ingress", "__allowed_ingress", "br_handle_frame_finish"],
                ..BRIDGE
            },
        },
        Scenario {
            name: "vxlan-unknown-vni",
            prepare: |count| {
                let lab = Lab::pair()?;
                let link = "link add v0 type vxlan id 7 local 10.9.0.2 dstport 4789 dev r0\nlink set v0 up\n";
                lab.receiver.feature("vxlan", "ip -batch -", link)?;
                // RFC 7348 section 5: the I flag, then 24 bits of VNI.
                let header = [0x08, 0, 0, 0, 0, 0, 99, 0];
                let inner = ETHER_V4.wrap(&UDP.packet(&V4, b"inner"));
                let outer = crate::traffic::Udp { source: 40_000, destination: 4789 };
                let packet = outer.packet(&V4, &[&header[..], &inner].concat());
                inject(lab, ETHER_V4.wrap(&packet), count)
            },
            expect: Expect {
                reasons: &["VXLAN_VNI_NOT_FOUND", "NOT_SPECIFIED"],
                functions: &["vxlan_rcv"],
                packet: &[("/destination/port", "4789")],
                ..EXPECT
            },
        },
        Scenario {
            name: "tun-queue-full",
            prepare: tun_full,
            expect: Expect {
                reasons: &["FULL_RING", "NOT_SPECIFIED"],
                functions: &["tun_net_xmit"],
                device: "t0",
                ..EXPECT
            },
        },
    ]
}

/// No carrier: the sender's device has `noop_qdisc`, which drops all.
fn peer_down(count: u64) -> Result<Stage> {
    let lab = Lab::pair()?;
    lab.receiver.ip(&["link set r0 down"])?;
    wait_running(lab.from(), "s0", false)?;
    inject(lab, ETHER_V4.wrap(&UDP.packet(&V4, b"hello")), count)
}

/// `r0` becomes a port of the bridge `br0` with these options.
fn bridge(namespace: &Namespace, options: &str) -> Result<()> {
    let add = format!("link add br0 type bridge {options} mcast_snooping 0\n");
    namespace.feature("bridge", "ip -batch -", &add)?;
    namespace.ip(&["link set r0 master br0", "link set br0 up"])
}

/// A tun device whose reader sleeps: its ring takes `txqueuelen` packets, and no more.
fn tun_full(count: u64) -> Result<Stage> {
    const RING: usize = 500;
    let lab = Lab::alone()?;
    let tun = open_tun(&lab.receiver, "t0")?;
    lab.receiver.ip(&["addr add 10.9.2.1/24 dev t0", "link set t0 up"])?;
    let socket = lab.receiver.enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    for _ in 0..RING {
        socket.send_to(b"hey", "10.9.2.2:9")?;
    }
    Stage::new(lab, move |_| {
        let _unread = &tun;
        for _ in 0..count {
            socket.send_to(b"hey", "10.9.2.2:9")?;
        }
        Ok(())
    })
}

/// `TUNSETIFF` of tuntap.rst.
fn open_tun(namespace: &Namespace, name: &str) -> Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    namespace.enter(|| {
        let tun = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .map_err(|error| Skip(format!("no /dev/net/tun: {error}")))?;
        // SAFETY: an all-zero ifreq is valid; the name is short and stays zero-terminated.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
        // SAFETY: TUNSETIFF reads and writes this ifreq.
        if unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, &raw mut request) } != 0 {
            return Err(std::io::Error::last_os_error()).context("TUNSETIFF");
        }
        Ok(tun)
    })
}
