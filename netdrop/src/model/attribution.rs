//! What other counters of the kernel say of the drops: which rule it was, and what devices counted by themselves.

use serde::{Deserialize, Serialize};

use super::{Device, Netns, Verdict};

/// Found by comparing the kernel's counters before and after a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// Rules, filters and programs that dropped packets, or may have.
    pub rules: Vec<RuleHit>,
    /// Where netfilter dropped, by the drops' call chains.
    pub verdicts: Vec<VerdictCount>,
    /// Losses that devices counted.
    pub devices: Vec<DeviceCount>,
    /// What couldn't be told, and why: one sentence each.
    pub notes: Vec<String>,
}

/// A rule, filter or program, and how many of the counted drops were its.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// Whose rule it is.
    pub system: RuleSystem,
    /// The network namespace that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// `ip`, `ip6`, `inet`, `netdev`, `bridge`, `arp`; absent for tc and XDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The table; absent for tc and XDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The chain; tc's is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Netfilter's hook of the chain: `input`, `forward`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// nftables' or tc's handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
    /// Place in the chain, the first is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The device that it is attached to: tc and XDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Which way the packets go there: tc and XDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The eBPF program, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<BpfProgram>,
    /// As its tool writes it.
    pub text: String,
    /// What it does with a packet.
    pub verdict: RuleVerdict,
    /// Packets that its counter grew by; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many drops of this kind netdrop counted in this place.
    pub drops: u64,
    /// How sure it is.
    pub certainty: Certainty,
}

/// Whose rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSystem {
    /// nftables, iptables-nft included.
    Nft,
    /// iptables-legacy.
    Iptables,
    /// ip6tables-legacy.
    Ip6tables,
    /// A filter of tc(8).
    Tc,
    /// A program attached by `BPF_TCX_INGRESS` or `BPF_TCX_EGRESS`.
    Tcx,
    /// A program in the driver, or in front of the stack.
    Xdp,
}

impl RuleSystem {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
            Self::Tc => "tc",
            Self::Tcx => "tcx",
            Self::Xdp => "xdp",
        }
    }
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleVerdict {
    /// Drops it.
    Drop,
    /// Drops it and tells the sender.
    Reject,
    /// The chain drops what no rule of it has taken.
    Policy,
    /// A program decides.
    Program,
}

/// Which way packets go at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into this machine.
    Ingress,
    /// Out of it.
    Egress,
}

impl Direction {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// An eBPF program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BpfProgram {
    /// The kernel's number for it, as `bpftool prog` shows it.
    pub id: u32,
    /// Its name, at most 15 characters; absent where it has none or it may not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How sure a [`RuleHit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Its counter alone moved, by the very number of drops.
    Exact,
    /// Its counter moved by its part of the drops: so many are its.
    Part,
    /// It doesn't count, and nothing else there could have dropped the rest.
    Only,
    /// One of several that could be meant.
    Candidate,
}

/// Drops by netfilter in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCount {
    /// The network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// The place, as far as it is known.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Drops there.
    pub packets: u64,
    /// Whether the number is a share by sampled details: the drops were counted together with those of other places.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What a device counted by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCount {
    /// The device.
    pub device: Device,
    /// Its network namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// The counter, as the kernel or the driver calls it; a `*` stands for the queues that were summed.
    pub counter: String,
    /// Where it is read.
    pub source: CounterSource,
    /// By how much it grew.
    pub count: u64,
    /// What that means.
    pub meaning: String,
    /// At most so many of them are among netdrop's own drops; absent where they never can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also_seen: Option<u64>,
    /// The XDP program there, for a counter of XDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<BpfProgram>,
}

/// Where a device's counter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CounterSource {
    /// `struct rtnl_link_stats64`, as `ip -s -s link` shows it.
    Link,
    /// The driver's own, as `ethtool -S` shows them.
    Driver,
}
