//! A rule of a firewall that drops, whatever tool it was written by.

use super::chains::Hooks;
use crate::model::{Counts, RuleSystem, RuleVerdict};

/// A rule, or a chain's policy, that can drop a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which rule it is.
    pub key: RuleKey,
    /// Place in its chain, the first is 1; absent for a policy.
    pub position: Option<u32>,
    /// The hook that its chain hangs on, as nft(8) writes it: `input`, `forward`, …; absent for a chain that others jump to.
    pub hook: Option<String>,
    /// All hooks that its chain is reached from; empty where that isn't known.
    pub hooks: Hooks,
    /// As its tool writes it; empty where only the handle is known.
    pub text: String,
    /// What it does.
    pub verdict: RuleVerdict,
    /// What it counted.
    pub count: Count,
}

/// What a rule is known by in two listings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleKey {
    /// Whose rule.
    pub system: RuleSystem,
    /// `ip`, `ip6`, `inet`, `netdev`, `bridge`, `arp`.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Which of the chain.
    pub id: RuleId,
}

/// Which rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleId {
    /// The chain's policy.
    Policy,
    /// nftables' handle.
    Handle(u64),
    /// iptables has no handles: the text, and which of those with the same one.
    Text(String, u32),
}

/// What a rule counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// The packets that it dropped, no more and no less.
    Dropped(Counts),
    /// Packets that came by: those that it dropped are among them, as conditions follow or others share the counter.
    Passed(Counts),
    /// It has no counter.
    None,
}

impl Count {
    /// The numbers, if it has any.
    pub fn counts(self) -> Option<Counts> {
        match self {
            Self::Dropped(counts) | Self::Passed(counts) => Some(counts),
            Self::None => None,
        }
    }
}
