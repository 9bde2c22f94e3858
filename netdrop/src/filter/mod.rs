//! From what the user wants to see to the rules that the eBPF program evaluates.

mod address;
mod error;
mod port;
mod protocol;
mod reason;
mod rules;
mod sites;
#[cfg(test)]
mod tests;

pub use address::parse_prefix;
pub use error::FilterError;
use netdrop_common::{Filter, NetnsRule, SIDE_DESTINATION, SIDE_EITHER, SIDE_SOURCE, group};
pub use port::parse_ports;
pub use protocol::parse_protocol;
use rules::Rules;

use crate::kernel::reasons::Reasons;

/// What the user wants to see and what not, as written. Within one list it's *or*, between lists *and*;
/// `--reason` and `--class` are one list.
#[derive(Debug, Clone, Default)]
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
}

/// What shall pass, if anything is named, and what shall not.
#[derive(Debug, Clone, Default)]
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
}

/// A filter as the eBPF program takes it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rules.
    pub filter: Box<Filter>,
    /// Reasons with [`netdrop_common::REASON_INCLUDED`] or `REASON_EXCLUDED`.
    pub reasons: Vec<(u32, u32)>,
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
    let mut rules = Rules::default();
    let reasons = reason::resolve(wanted, reasons)?;
    rules.use_reasons(&reasons);
    sites::add(&wanted.function, resolver, &mut rules)?;
    for (name, group) in wanted.device.each(group::DEVICE) {
        rules.device(name, &resolver.devices(name)?, group)?;
    }
    for (name, group) in wanted.netns.each(group::NETNS) {
        rules.netns(NetnsRule { inode: resolver.netns(name)? }, group)?;
    }
    for (name, group) in wanted.protocol.each(group::PROTOCOL) {
        rules.protocol(parse_protocol(name)?, group)?;
    }
    for (choice, group, side) in [
        (&wanted.host, group::HOST, SIDE_EITHER),
        (&wanted.source, group::SOURCE, SIDE_SOURCE),
        (&wanted.destination, group::DESTINATION, SIDE_DESTINATION),
    ] {
        for (text, group) in choice.each(group) {
            rules.address(parse_prefix(text)?, group, side)?;
        }
    }
    for (choice, group, side) in [
        (&wanted.port, group::PORT, SIDE_EITHER),
        (&wanted.source_port, group::SOURCE_PORT, SIDE_SOURCE),
        (&wanted.destination_port, group::DESTINATION_PORT, SIDE_DESTINATION),
    ] {
        for (text, group) in choice.each(group) {
            rules.port(parse_ports(text)?, group, side)?;
        }
    }
    Ok(Compiled { filter: rules.finish(), reasons })
}
