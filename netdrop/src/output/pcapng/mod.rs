//! Packets for Wireshark and tshark: pcapng (draft-ietf-opsawg-pcapng). Each detailed drop is an enhanced packet block whose comment
//! says why and where; each device, by namespace and link type, is an interface.
//!
//! A section is a file: where the files are rotated, each begins with a header and interfaces of its own.

mod block;
mod files;
mod frame;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use block::Block;
pub use files::PacketFiles;
use frame::{Frame, Link};

use super::Output;
use super::file::Limit;
use super::words::{DeviceName, NetnsName, Place, Plain, TrapName};
use crate::model::{Drop, Owner, Summary, Timestamp, Verdict};

/// Tells a reader the byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// The format's major version.
const VERSION: u16 = 1;
/// `10^-9`: times are nanoseconds.
const NANOSECONDS: u8 = 9;

// Options, each of its own block; a comment is one of all.
const COMMENT: u16 = 1;
const SECTION_HARDWARE: u16 = 2;
const SECTION_SYSTEM: u16 = 3;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION: u16 = 3;
const INTERFACE_RESOLUTION: u16 = 9;
/// `epb_dropcount`: packets lost between this one and the one before.
const PACKET_DROP_COUNT: u16 = 4;
const STATISTICS_START: u16 = 2;
const STATISTICS_END: u16 = 3;
/// `isb_ifrecv`: packets received.
const STATISTICS_RECEIVED: u16 = 4;
/// `isb_osdrop`: of these, packets that the system could not hand on.
const STATISTICS_DROPPED: u16 = 7;

/// The machine, as a section's header tells it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `x86_64`
    pub hardware: String,
    /// `Linux 6.12.1`
    pub system: String,
}

/// The pcapng format.
#[derive(Debug)]
pub struct Pcapng {
    machine: Machine,
    limit: Option<Limit>,
    section: Option<Section>,
}

/// What was written since the last section header.
#[derive(Debug, Default)]
struct Section {
    interfaces: HashMap<InterfaceKey, u32>,
    statistics: Vec<Statistics>,
    bytes: u64,
    /// The first packet's time.
    started: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct InterfaceKey {
    netns: u32,
    device: u32,
    link: Link,
}

/// What an interface has seen.
#[derive(Debug, Clone, Copy, Default)]
struct Statistics {
    first: Timestamp,
    last: Timestamp,
    /// Packets in the file.
    written: u64,
    /// Drops that they stand for.
    stood_for: u64,
}

impl Machine {
    /// The machine that this program was built for, with a kernel of this release.
    pub fn of_release(release: &str) -> Self {
        Self { hardware: std::env::consts::ARCH.into(), system: format!("Linux {release}") }
    }
}

impl Pcapng {
    /// A writer of sections; one that has reached `limit` is followed by another.
    pub fn new(machine: Machine, limit: Option<Limit>) -> Self {
        Self { machine, limit, section: None }
    }

    /// The section under way; where there is none, it begins.
    fn section(&mut self, out: &mut Vec<u8>) -> &mut Section {
        self.section.get_or_insert_with(|| {
            let start = out.len();
            push_section(&self.machine, out);
            Section { bytes: (out.len() - start) as u64, ..Section::default() }
        })
    }
}

impl Output for Pcapng {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        if let Some(full) = self.section.take_if(|section| section.is_full(self.limit, drop.time)) {
            full.push_statistics(out);
        }
        self.section(out).push_packet(drop, out);
    }

    /// A section's header is there before the first packet, so that a reader of a pipe knows what to expect.
    fn summary(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.section(out);
    }

    fn end(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.section(out).push_statistics(out);
    }
}

impl Section {
    fn is_full(&self, limit: Option<Limit>, now: Timestamp) -> bool {
        match limit {
            None => false,
            Some(Limit::Size(limit)) => !self.statistics.is_empty() && self.bytes >= limit,
            Some(Limit::Age(limit)) => self
                .started
                .is_some_and(|started| now.since_epoch().saturating_sub(started.since_epoch()) >= limit),
        }
    }

    fn push_packet(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        let frame = Frame::of(drop);
        let interface = self.interface(drop, frame.link, out);
        self.started.get_or_insert(drop.time);
        if let Some(statistics) = self.statistics.get_mut(interface as usize) {
            statistics.add(drop);
        }
        let [captured, original] =
            [frame.length(), frame.wire_length].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        let block =
            Block::new(block::PACKET, out).u32(interface).time(drop.time.0).u32(captured).u32(original);
        let block = push_comment(block.bytes(&frame.parts()), drop);
        if drop.weight > 1 { block.number(PACKET_DROP_COUNT, drop.weight - 1) } else { block }.end();
        self.bytes += (out.len() - start) as u64;
    }

    /// The number of the drop's interface; a new one is described first.
    fn interface(&mut self, drop: &Drop<'_>, link: Link, out: &mut Vec<u8>) -> u32 {
        let key = InterfaceKey {
            netns: drop.netns.map_or(0, |netns| netns.inode),
            device: drop.device.map_or(0, |device| device.index),
            link,
        };
        let next = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        *self.interfaces.entry(key).or_insert_with(|| {
            push_interface(drop, link, out);
            self.statistics.push(Statistics { first: drop.time, ..Statistics::default() });
            next
        })
    }

    /// What each interface has seen: drops that had no place in the file were sampled out.
    fn push_statistics(&self, out: &mut Vec<u8>) {
        for (interface, statistics) in (0..).zip(&self.statistics) {
            Block::new(block::STATISTICS, out)
                .u32(interface)
                .time(statistics.last.0)
                .moment(STATISTICS_START, statistics.first.0)
                .moment(STATISTICS_END, statistics.last.0)
                .number(STATISTICS_RECEIVED, statistics.stood_for)
                .number(STATISTICS_DROPPED, statistics.stood_for - statistics.written)
                .end();
        }
    }
}

impl Statistics {
    fn add(&mut self, drop: &Drop<'_>) {
        self.last = self.last.max(drop.time);
        self.written += 1;
        self.stood_for += drop.weight.max(1);
    }
}

fn push_section(machine: &Machine, out: &mut Vec<u8>) {
    /// A section's length where it isn't known beforehand.
    const UNKNOWN: u64 = u64::MAX;
    Block::new(block::SECTION, out)
        .u32(BYTE_ORDER)
        .u16(VERSION)
        .u16(0)
        .u64(UNKNOWN)
        .text(SECTION_HARDWARE, format_args!("{}", machine.hardware))
        .text(SECTION_SYSTEM, format_args!("{}", machine.system))
        .text(SECTION_APPLICATION, format_args!("netdrop {}", env!("CARGO_PKG_VERSION")))
        .end();
}

fn push_interface(drop: &Drop<'_>, link: Link, out: &mut Vec<u8>) {
    /// Packets are as long as they are.
    const NO_LIMIT: u32 = 0;
    let mut block = Block::new(block::INTERFACE, out).u16(link as u16).u16(0).u32(NO_LIMIT);
    if let Some(device) = drop.device {
        block = block.text(INTERFACE_NAME, format_args!("{}", DeviceName(device)));
    }
    if let Some(netns) = drop.netns {
        block = block.text(INTERFACE_DESCRIPTION, format_args!("netns {}", NetnsName(netns)));
    }
    block.byte(INTERFACE_RESOLUTION, NANOSECONDS).end();
}

/// `NO_SOCKET (no-receiver) at __udp4_lib_rcv+0x4bc, stands for 12 drops`; without reason on kernels that give none.
/// `tail_drop (congestion) by hardware pci/0000:01:00.0`.
fn push_comment<'a>(block: Block<'a>, drop: &Drop<'_>) -> Block<'a> {
    let place = Place(drop.site);
    let stands_for = Weight(drop.weight);
    let owner = Owned(drop.context.owner);
    if let Some(trap) = &drop.site.trap {
        let (name, class, device) = (TrapName(trap), drop.class(), Plain(&trap.device));
        return block.text(COMMENT, format_args!("{name} ({class}) by hardware {device}{stands_for}"));
    }
    let verdict = Judged(drop.context.verdict);
    match drop.reason {
        Some(reason) => {
            let name = Plain(&reason.name);
            block.text(
                COMMENT,
                format_args!("{name} ({}) at {place}{verdict}{owner}{stands_for}", reason.class),
            )
        }
        None => block.text(COMMENT, format_args!("dropped at {place}{verdict}{owner}{stands_for}")),
    }
}

/// Said only where netfilter dropped and its place is known.
struct Judged(Option<Verdict>);

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.filter(|verdict| !verdict.is_unknown());
        known.map_or(Ok(()), |verdict| write!(f, ", verdict {verdict}"))
    }
}

/// Said only of packets whose socket has one.
struct Owned<'a>(Option<&'a Owner>);

impl fmt::Display for Owned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |owner| write!(f, ", owner {}", Plain(&owner.to_string())))
    }
}

/// Said only of packets that stand for others.
struct Weight(u64);

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 1 { write!(f, ", stands for {} drops", self.0) } else { Ok(()) }
    }
}
