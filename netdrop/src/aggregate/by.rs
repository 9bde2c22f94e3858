//! `--by`: what the rows of a summary tell apart.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use thiserror::Error;

use crate::model::{CountKey, Drop, Endpoint, Owner, Protocol, Workload};

use super::flows::FlowKey;

/// One thing to tell drops apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dimension {
    /// The place in the kernel's code: function and offset
    Site,
    /// The kernel's drop reason
    Reason,
    /// The function, its sites summed
    Function,
    /// The network device, with its namespace
    Device,
    /// The network namespace
    Netns,
    /// The protocol
    Proto,
    /// Source and destination with their ports (estimated from sampled details)
    Flow,
    /// Source address (estimated from sampled details)
    Src,
    /// Destination address (estimated from sampled details)
    Dst,
    /// Destination port (estimated from sampled details)
    Port,
    /// The first process that has the socket (estimated from sampled details)
    Owner,
    /// The container, pod or unit of the socket's owner, else of the namespace (estimated from sampled details)
    Container,
}

/// A set of dimensions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct By(u16);

/// A list of dimensions that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ByError {
    /// Not a dimension.
    #[error("'{0}' is nothing to group by: choose from {known}", known = By::all())]
    Unknown(String),
}

impl By {
    /// Every dimension.
    pub fn all() -> Self {
        Dimension::value_variants().iter().copied().collect()
    }

    /// Whether rows differ by `dimension`.
    pub fn has(self, dimension: Dimension) -> bool {
        self.0 & Self::bit(dimension) != 0
    }

    /// Whether the kernel's counters can't tell: such rows are sums over sampled details.
    pub fn needs_details(self) -> bool {
        let of_packets = [Dimension::Flow, Dimension::Src, Dimension::Dst, Dimension::Port];
        of_packets.into_iter().any(|each| self.has(each)) || self.needs_owners()
    }

    /// Whether only the sockets of drops can tell.
    pub fn needs_owners(self) -> bool {
        self.has(Dimension::Owner) || self.has(Dimension::Container)
    }

    /// With one dimension more.
    #[must_use]
    pub fn with(self, dimension: Dimension) -> Self {
        Self(self.0 | Self::bit(dimension))
    }

    /// Each of its dimensions.
    pub fn iter(self) -> impl Iterator<Item = Dimension> {
        Dimension::value_variants().iter().copied().filter(move |each| self.has(*each))
    }

    /// No dimension at all.
    pub const NONE: Self = Self(0);

    fn bit(dimension: Dimension) -> u16 {
        1 << dimension as u16
    }

    /// `key` without what the rows don't tell apart. A device's index means something in its namespace only, so both stay.
    pub(super) fn mask(self, key: CountKey) -> CountKey {
        let device = self.has(Dimension::Device);
        let in_netns = device || self.has(Dimension::Netns);
        let in_code = self.has(Dimension::Site) || self.has(Dimension::Function);
        CountKey {
            address: if in_code { key.address } else { 0 },
            reason: key.reason.filter(|_| self.has(Dimension::Reason)),
            ifindex: if device { key.ifindex } else { 0 },
            netns: if in_netns { key.netns } else { 0 },
            protocol: if self.has(Dimension::Proto) { key.protocol.as_named() } else { Protocol::default() },
        }
    }

    /// The part of the drop's flow, owner and workload that the rows tell apart.
    pub(super) fn flow(self, drop: &Drop<'_>) -> FlowKey {
        let packet = drop.packet;
        let key = FlowKey {
            owner: drop.context.owner.filter(|_| self.has(Dimension::Owner)).and_then(Owner::first),
            workload: workload(drop).filter(|_| self.has(Dimension::Container)),
            ..FlowKey::default()
        };
        if self.has(Dimension::Flow) {
            return FlowKey { source: packet.source, destination: packet.destination, ..key };
        }
        let address = |endpoint: Endpoint| Endpoint { port: None, ..endpoint };
        FlowKey {
            source: packet.source.filter(|_| self.has(Dimension::Src)).map(address),
            destination: packet.destination.filter(|_| self.has(Dimension::Dst)).map(address),
            port: packet.destination.filter(|_| self.has(Dimension::Port)).and_then(|endpoint| endpoint.port),
            ..key
        }
    }
}

/// Where the drop's socket is at home, else what runs in the namespace.
fn workload(drop: &Drop<'_>) -> Option<Arc<Workload>> {
    let of_socket = drop.context.owner.map(|owner| &owner.workload);
    let of_netns = drop.netns.map(|netns| &netns.workload);
    [of_socket, of_netns].into_iter().flatten().find(|workload| !workload.is_empty()).map(Arc::clone)
}

/// What the kernel counts by.
impl Default for By {
    fn default() -> Self {
        use Dimension::{Device, Netns, Proto, Reason, Site};
        [Site, Reason, Device, Netns, Proto].into_iter().collect()
    }
}

impl FromIterator<Dimension> for By {
    fn from_iter<I: IntoIterator<Item = Dimension>>(dimensions: I) -> Self {
        Self(dimensions.into_iter().fold(0, |set, each| set | Self::bit(each)))
    }
}

/// Reads `site,reason`.
impl FromStr for By {
    type Err = ByError;

    fn from_str(text: &str) -> Result<Self, ByError> {
        let dimension = |name: &str| {
            Dimension::from_str(name.trim(), false).map_err(|_| ByError::Unknown(name.trim().to_owned()))
        };
        text.split(',').map(dimension).collect()
    }
}

/// Writes `site,reason`.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for dimension in Dimension::value_variants().iter().filter(|each| self.has(**each)) {
            let name = dimension.to_possible_value().expect("no dimension is hidden");
            write!(f, "{separator}{}", name.get_name())?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "By({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("site", "site")]
    #[case("reason, site,site", "site,reason")]
    #[case("flow,src,dst,port,proto", "proto,flow,src,dst,port")]
    #[case("container,owner", "owner,container")]
    fn lists_are_read_as_sets(#[case] text: &str, #[case] set: &str) {
        assert_eq!(text.parse::<By>().unwrap().to_string(), set);
    }

    #[rstest::rstest]
    #[case("", "")]
    #[case("site,", "")]
    #[case("site,user", "user")]
    #[case("Site", "Site")]
    fn unknown_names_are_refused_with_the_known_ones(#[case] text: &str, #[case] name: &str) {
        let error = text.parse::<By>().unwrap_err();
        assert_eq!(error, ByError::Unknown(name.into()));
        assert!(error.to_string().ends_with(
            "choose from site,reason,function,device,netns,proto,flow,src,dst,port,owner,container"
        ));
    }

    #[test]
    fn the_default_is_the_kernels_own_key() {
        assert_eq!(By::default().to_string(), "site,reason,device,netns,proto");
        assert!(!By::default().needs_details());
    }
}
