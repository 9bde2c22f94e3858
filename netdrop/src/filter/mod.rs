//! From what the user wants to see to the rules that the eBPF program evaluates.

mod address;
mod error;
mod explain;
mod owners;
mod port;
mod protocol;
mod reason;
mod rules;
mod sites;
#[cfg(test)]
mod tests;

pub use address::parse_prefix;
pub use error::FilterError;
pub use explain::{Evaluated, Explained};
use netdrop_common::{Filter, NetnsRule, Piece, SIDE_DESTINATION, SIDE_EITHER, SIDE_SOURCE, group};
pub use owners::{MAX_OWNERS, Owned, Targets};
pub use port::parse_ports;
pub use protocol::parse_protocol;
use rules::Rules;

use explain::list;

use crate::kernel::reasons::Reasons;
use crate::knowledge::Class;
use crate::owner::census::{Holders, Inhabited};

/// What the user wants to see and what not, as written. Within one list it's *or*, between lists *and*;
/// `--reason` and `--class` are one list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Reasons by name.
    pub reason: Choice,
    /// Classes by name.
    pub class: Choice,
    /// Functions by name.
    pub function: Choice,
    /// Devices by name.
    pub device: Choice,
    /// Namespaces: name, inode number, `pid:N` or `self`.
    pub netns: Choice,
    /// Protocols by name or number.
    pub protocol: Choice,
    /// Prefixes that source or destination lies in.
    pub host: Choice,
    /// Prefixes of the source.
    pub source: Choice,
    /// Prefixes of the destination.
    pub destination: Choice,
    /// Ports of source or destination.
    pub port: Choice,
    /// Source ports.
    pub source_port: Choice,
    /// Destination ports.
    pub destination_port: Choice,
    /// Containers and pods by name or id.
    pub container: Choice,
    /// Processes by id or command.
    pub owner: Choice,
    /// A cgroup by its id: drops of its sockets.
    pub cgroup: Option<u64>,
}

impl Wanted {
    /// What lets through all packets of the connections that this lets through, whoever sends them and wherever they are dropped: the
    /// other end may be in another namespace, behind another device, another process's.
    #[must_use]
    pub fn of_either_side(&self, protocol: &str) -> Self {
        let either = |both: &Choice, ones: [&Choice; 2]| {
            let named = ones.into_iter().chain([both]).find(|choice| !choice.only.is_empty());
            let only = named.map(|choice| choice.only.clone()).unwrap_or_default();
            Choice { only, not: both.not.clone() }
        };
        Self {
            protocol: Choice { only: vec![protocol.into()], not: Vec::new() },
            host: either(&self.host, [&self.source, &self.destination]),
            port: either(&self.port, [&self.source_port, &self.destination_port]),
            ..Self::default()
        }
    }
}

/// What shall pass, if anything is named, and what shall not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// One of these must match.
    pub only: Vec<String>,
    /// None of these may match.
    pub not: Vec<String>,
}

impl Choice {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.only.is_empty() && self.not.is_empty()
    }

    /// Each with its group: `group` for those that must match, or that of exclusion.
    fn each(&self, group: u32) -> impl Iterator<Item = (&str, u32)> {
        let only = self.only.iter().map(move |one| (one.as_str(), group));
        only.chain(self.not.iter().map(|one| (one.as_str(), group::EXCLUDE)))
    }
}

/// What the kernel knows, for the names in a filter. Asked only for what the filter names.
pub trait Resolver {
    /// Inode number of a network namespace.
    fn netns(&mut self, name: &str) -> Result<u32, FilterError>;
    /// Everywhere that a device of this name is: `(namespace, index)`.
    fn devices(&mut self, name: &str) -> Result<Vec<(u32, u32)>, FilterError>;
    /// The address ranges of a function.
    fn function(&mut self, name: &str) -> Result<Vec<std::ops::Range<u64>>, FilterError>;
    /// The address ranges of all functions that the knowledge base has a class for, in order.
    fn sites(&mut self) -> Result<Vec<(std::ops::Range<u64>, Class)>, FilterError>;
    /// What a container or pod is now.
    fn container(&mut self, name: &str) -> Result<Inhabited, FilterError>;
    /// The processes of this id or command now, and their sockets.
    fn holders(&mut self, name: &str) -> Holders;
    /// The command of a process that is nearest to a name.
    fn nearest_command(&mut self, name: &str) -> Option<String>;
}

/// A filter as the eBPF program takes it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rules.
    pub filter: Box<Filter>,
    /// Reasons with [`netdrop_common::REASON_INCLUDED`], `REASON_EXCLUDED` or `REASON_BY_SITE`.
    pub reasons: Vec<(u32, u32)>,
    /// What is decided by the site.
    pub sites: Vec<Piece>,
    /// Whose numbers change: what is to be looked up again.
    pub targets: Targets,
    /// Their numbers now.
    pub owned: Owned,
    /// Every rule in words.
    pub explained: Vec<Explained>,
}

impl Compiled {
    /// The network namespaces whose drops alone can pass, by inode number; none where those of all can.
    pub fn namespaces(&self) -> Vec<u32> {
        let rules = &self.filter.netns[..self.filter.namespaces as usize];
        rules.iter().filter(|rule| rule.group == group::NETNS).map(|rule| rule.matches.inode).collect()
    }
}

/// Resolves and checks all that the user named.
///
/// # Errors
/// For the first thing that is unknown or malformed, with the nearest that is known.
pub fn compile(
    wanted: &Wanted,
    reasons: &Reasons,
    resolver: &mut impl Resolver,
) -> Result<Compiled, FilterError> {
    let (mut rules, mut explained) = (Rules::default(), Vec::new());
    let by_reason = reason::resolve(wanted, reasons, resolver, &mut explained)?;
    rules.use_reasons(&by_reason);
    sites::add(&wanted.function, resolver, &mut rules, &mut explained)?;
    places(wanted, resolver, &mut rules, &mut explained)?;
    packets(wanted, &mut rules, &mut explained)?;
    let (targets, owned) = owners::resolve(wanted, resolver, &mut explained)?;
    rules.use_owners(&targets);
    let reason::Resolved { reasons, sites, .. } = by_reason;
    Ok(Compiled { filter: rules.finish(), reasons, sites, targets, owned, explained })
}

/// Devices and namespaces.
fn places(
    wanted: &Wanted,
    resolver: &mut impl Resolver,
    rules: &mut Rules,
    explained: &mut Vec<Explained>,
) -> Result<(), FilterError> {
    for (name, group) in wanted.device.each(group::DEVICE) {
        let places = resolver.devices(name)?;
        rules.device(name, &places, group)?;
        let texts: Vec<_> =
            places.iter().map(|(netns, index)| format!("{index} of namespace {netns}")).collect();
        let means = format!("by name, and without one by index: {}", list(&texts));
        let misses = "packets on a socket's queue that came by a device that is younger than the filter";
        let explanation = Explained::new("device", name, group, Evaluated::Constants, means);
        explained.push(explanation.missing(misses.into()));
    }
    for (name, group) in wanted.netns.each(group::NETNS) {
        let inode = resolver.netns(name)?;
        rules.netns(NetnsRule { inode }, group)?;
        let means = format!("inode {inode}");
        explained.push(Explained::new("netns", name, group, Evaluated::Constants, means));
    }
    Ok(())
}

/// What is in a packet's headers.
fn packets(wanted: &Wanted, rules: &mut Rules, explained: &mut Vec<Explained>) -> Result<(), FilterError> {
    let mut explain = |flag, text: &str, group, means| {
        explained.push(Explained::new(flag, text, group, Evaluated::Constants, means));
    };
    for (name, group) in wanted.protocol.each(group::PROTOCOL) {
        let rule = parse_protocol(name)?;
        rules.protocol(rule, group)?;
        let is_ip = rule.ip_protocol != netdrop_common::ProtocolRule::ANY;
        let means = if is_ip {
            format!("IP protocol {}", rule.ip_protocol)
        } else {
            format!("EtherType {:#06x}", rule.ethertype)
        };
        explain("proto", name, group, means);
    }
    for (flag, choice, group, side) in [
        ("host", &wanted.host, group::HOST, SIDE_EITHER),
        ("src", &wanted.source, group::SOURCE, SIDE_SOURCE),
        ("dst", &wanted.destination, group::DESTINATION, SIDE_DESTINATION),
    ] {
        for (text, group) in choice.each(group) {
            rules.address(parse_prefix(text)?, group, side)?;
            explain(flag, text, group, format!("the address of {}", side_name(side)));
        }
    }
    for (flag, choice, group, side) in [
        ("port", &wanted.port, group::PORT, SIDE_EITHER),
        ("sport", &wanted.source_port, group::SOURCE_PORT, SIDE_SOURCE),
        ("dport", &wanted.destination_port, group::DESTINATION_PORT, SIDE_DESTINATION),
    ] {
        for (text, group) in choice.each(group) {
            rules.port(parse_ports(text)?, group, side)?;
            explain(flag, text, group, format!("the port of {}", side_name(side)));
        }
    }
    Ok(())
}

const fn side_name(side: u32) -> &'static str {
    match side {
        SIDE_SOURCE => "the source",
        SIDE_DESTINATION => "the destination",
        _ => "the source or the destination",
    }
}
