//! Tun and tap devices: a reader that sleeps, filters, a device that is down.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

use super::shape::{EXPECT, UDP, V4};
use crate::bpf::socket_filter_drop;
use crate::lab::{Lab, open_tun};
use crate::scenario::{Expect, Scenario, Stage};

const TUN: Expect = Expect { functions: &["tun_net_xmit"], device: "t0", ..EXPECT };
const TUNSETTXFILTER: libc::c_ulong = 0x4004_54d1;
const TUNSETFILTEREBPF: libc::c_ulong = 0x8004_54e1;

pub fn table() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "tun-queue-full",
            prepare: tun_full,
            expect: Expect { reasons: &["FULL_RING", "NOT_SPECIFIED"], ..TUN },
        },
        Scenario {
            name: "tun-filter",
            prepare: |count| {
                let program = socket_filter_drop()?;
                send_over(libc::IFF_TUN, count, |tun| {
                    let descriptor = program.as_raw_fd();
                    // SAFETY: TUNSETFILTEREBPF reads one descriptor.
                    unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETFILTEREBPF, &raw const descriptor) }
                })
            },
            expect: Expect { reasons: &["TAP_FILTER", "NOT_SPECIFIED"], ..TUN },
        },
        Scenario {
            name: "tap-address-filter",
            prepare: refused_address,
            expect: Expect { reasons: &["TAP_TXFILTER", "NOT_SPECIFIED"], ..TUN },
        },
        Scenario {
            name: "tun-down",
            prepare: |count| {
                let lab = Lab::alone()?;
                let tun = open_tun(&lab.receiver, "t0", libc::IFF_TUN)?;
                let packet = UDP.packet(&V4, b"hello");
                write(lab, tun, count, move |tun| {
                    // SAFETY: pointer and length are those of the packet.
                    unsafe { libc::write(tun.as_raw_fd(), packet.as_ptr().cast(), packet.len()) }
                })
            },
            expect: Expect { reasons: &["DEV_READY", "NOT_SPECIFIED"], functions: &["tun_get_user"], ..TUN },
        },
        Scenario {
            name: "tun-writer-has-no-such-memory",
            prepare: |count| {
                let lab = Lab::alone()?;
                let tun = open_tun(&lab.receiver, "t0", libc::IFF_TUN)?;
                lab.receiver.ip(&["link set t0 up"])?;
                write(lab, tun, count, |tun| {
                    // SAFETY: the kernel finds nothing at the address, and says so. More than a page: a shorter write
                    // fails before there is a packet.
                    unsafe { libc::write(tun.as_raw_fd(), std::ptr::without_provenance(1 << 12), 5000) }
                })
            },
            expect: Expect {
                reasons: &["SKB_UCOPY_FAULT", "NOT_SPECIFIED"],
                functions: &["tun_get_user"],
                device: "",
                protocol: "",
                ..TUN
            },
        },
    ]
}

/// Datagrams to a neighbour that a tap device's filter of addresses leaves out.
pub(super) fn refused_address(count: u64) -> Result<Stage> {
    send_over(libc::IFF_TAP, count, |tap| {
        // struct tun_filter of linux/if_tun.h: flags, one address, which isn't the neighbour's.
        let filter: [u8; 10] = [0, 0, 1, 0, 2, 0, 0, 0, 0, 0x99];
        // SAFETY: TUNSETTXFILTER reads the header and as many addresses as it counts.
        unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETTXFILTER, filter.as_ptr()) }
    })
}

/// Datagrams to a neighbour behind a device that `filter` has been given to.
fn send_over(kind: libc::c_int, count: u64, filter: impl FnOnce(&File) -> libc::c_int) -> Result<Stage> {
    let lab = Lab::alone()?;
    let tun = open_tun(&lab.receiver, "t0", kind)?;
    ensure!(filter(&tun) >= 0, "the filter: {}", std::io::Error::last_os_error());
    lab.receiver.ip(&["addr add 10.9.2.1/24 dev t0", "link set t0 up"])?;
    if kind == libc::IFF_TAP {
        lab.receiver.ip(&["neigh replace 10.9.2.2 lladdr 02:00:00:00:00:22 dev t0"])?;
    }
    let socket = lab.receiver.enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    Stage::new(lab, move |_| {
        let _unread = &tun;
        for _ in 0..count {
            socket.send_to(b"hey", "10.9.2.2:9")?;
        }
        Ok(())
    })
}

/// Writes that must fail.
fn write(lab: Lab, tun: File, count: u64, one: impl Fn(&File) -> isize + 'static) -> Result<Stage> {
    Stage::new(lab, move |_| {
        for _ in 0..count {
            ensure!(one(&tun) < 0, "the device took a packet");
        }
        Ok(())
    })
}

/// A tun device whose reader sleeps: its ring takes `txqueuelen` packets, and no more.
fn tun_full(count: u64) -> Result<Stage> {
    const RING: usize = 500;
    let lab = Lab::alone()?;
    let tun = open_tun(&lab.receiver, "t0", libc::IFF_TUN)?;
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
