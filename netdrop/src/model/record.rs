//! One drop with its details.

use super::{CpuTask, Device, Netns, Owner, Packet, Reason, Site, Socket, Timestamp, Verdict};
use crate::knowledge::Class;

/// One detailed drop. Names are borrowed from the caches that resolved them once.
#[derive(Debug, Clone, Copy)]
pub struct Drop<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// How many drops of its counter it stands for, itself included: those sampled out since the one before.
    pub weight: u64,
    /// Where.
    pub site: &'a Site,
    /// Why; absent on kernels whose tracepoint has no reason (before 5.17).
    pub reason: Option<&'a Reason>,
    /// The CPU it happened on.
    pub cpu: u32,
    /// The device it was on or came in by.
    pub device: Option<&'a Device>,
    /// The network namespace it was in.
    pub netns: Option<&'a Netns>,
    /// What is known of the packet.
    pub packet: &'a Packet,
    /// The first bytes of the packet.
    pub header: Header<'a>,
    /// What is known beyond the packet.
    pub context: Context<'a>,
}

/// Whose packet it was and the way that it came, as far as it was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The socket that it belongs to.
    pub socket: Option<&'a Socket>,
    /// Who has the socket.
    pub owner: Option<&'a Owner>,
    /// What ran on the CPU: not the packet's owner, but by chance.
    pub cpu_task: Option<&'a CpuTask>,
    /// The kernel's call chain from the site on, as it prints it: `function+0xoffset [module]`.
    pub stack: &'a [String],
    /// Where netfilter decided it; of its drops alone. Nothing of it is known without a call chain.
    pub verdict: Option<Verdict>,
}

/// The first bytes of a packet, as they stood in the skb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header<'a> {
    /// From its link-layer or, where there is none, its network header.
    pub bytes: &'a [u8],
    /// Where in them the network header begins; absent when that isn't known.
    pub network: Option<usize>,
    /// A VLAN tag that the kernel has taken out of the bytes: its protocol and control information (IEEE 802.1Q).
    pub vlan: Option<(u16, u16)>,
}

impl Drop<'_> {
    /// The kind of loss that it is: by its reason, and by its function where the kernel gives none.
    pub fn class(&self) -> Class {
        match self.reason {
            Some(reason) if reason.class != Class::Unknown => reason.class,
            reason => self.site.class(reason.map(|reason| reason.name.as_str())),
        }
    }
}
