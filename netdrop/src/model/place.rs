//! Where and why: the site in the kernel's code, its reason, the device, the network namespace.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Workload;
use crate::knowledge::{Class, class_of, class_of_trap};

/// A place in the kernel's code that frees a packet as dropped, or a trap of the hardware's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// The address that the kernel reports as `location`: where the freeing call returns to. A trap's is a number that
    /// tells it from others.
    pub address: u64,
    /// The function around it; absent when kallsyms is restricted or doesn't know it.
    pub function: Option<String>,
    /// Bytes from the function's start to the address.
    pub offset: u64,
    /// The module that holds the function; absent for the kernel itself.
    pub module: Option<String>,
    /// The source line; absent without the kernel's debug information.
    pub source: Option<Source>,
    /// What the hardware dropped it for; absent for what the kernel dropped.
    pub trap: Option<Trap>,
}

impl Site {
    /// The kind of loss of a drop here, whose reason the kernel calls by this name.
    pub fn class(&self, reason: Option<&str>) -> Class {
        match &self.trap {
            Some(trap) => class_of_trap(&trap.name, &trap.group),
            None => class_of(reason, self.function.as_deref()),
        }
    }
}

/// Why hardware dropped a packet, as its driver tells by devlink-trap. A name that isn't known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trap {
    /// The trap: `blackhole_route`, `tail_drop`, or a driver's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its group: `l3_drops`, `buffer_drops`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The driver: `mlxsw_spectrum2`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// The hardware as devlink(8) calls it: `pci/0000:01:00.0`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device: String,
}

/// A line of the kernel's source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// File below the kernel's tree and line: `net/ipv4/udp.c:2432`.
    pub line: String,
    /// Functions that the compiler put into the site's, to which the line belongs: the innermost first.
    pub inlined: Vec<String>,
}

/// Why the kernel dropped it: `enum skb_drop_reason` or a subsystem's own enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The kernel's number; its upper 16 bits are the subsystem.
    pub number: u32,
    /// The name without `SKB_DROP_REASON_`, or the number in hexadecimal where no name is known.
    pub name: String,
    /// The kind of loss that it is.
    pub class: Class,
    /// Who defines it: `core`, `openvswitch`, …
    pub subsystem: String,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Interface index, unique in its network namespace.
    pub index: u32,
    /// Its name, where the namespace could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Netns {
    /// Inode number of the namespace, as in `/proc/PID/ns/net`.
    pub inode: u32,
    /// `host`, the name of `ip netns`, a container's, or one of its processes (`pid:N`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What runs in it: what its processes have in common. Empty where that isn't known, and for the host's.
    #[serde(skip)]
    pub workload: Arc<Workload>,
}
