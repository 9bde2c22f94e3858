//! `--by`: what histograms are told apart by.

use clap::ValueEnum;
use netdrop_common::tcp::by;

/// One thing to tell round-trip times apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dimension {
    /// Remote address
    Remote,
    /// Local address
    Local,
    /// Local port
    Port,
    /// Remote port
    RemotePort,
    /// The route's device, with its namespace
    Device,
    /// The route: gateway and device
    Route,
    /// The process that has the socket
    Owner,
    /// The network namespace
    Netns,
    /// The container, pod or unit, by the socket's cgroup
    Container,
}

/// A set of them: the kernel's own bits (netdrop-common's `tcp::by`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct By(u32);

impl Dimension {
    const fn bit(self) -> u32 {
        match self {
            Self::Remote => by::REMOTE,
            Self::Local => by::LOCAL,
            Self::Port => by::LOCAL_PORT,
            Self::RemotePort => by::REMOTE_PORT,
            Self::Device => by::DEVICE,
            Self::Route => by::ROUTE,
            Self::Owner => by::OWNER,
            Self::Netns => by::NETNS,
            Self::Container => by::CGROUP,
        }
    }
}

impl By {
    /// What the kernel is told.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether there is one histogram of all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether histograms differ by it.
    pub const fn has(self, dimension: Dimension) -> bool {
        self.0 & dimension.bit() != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Dimension> {
        Dimension::value_variants().iter().copied().filter(move |each| self.has(*each))
    }
}

impl FromIterator<Dimension> for By {
    fn from_iter<I: IntoIterator<Item = Dimension>>(dimensions: I) -> Self {
        Self(dimensions.into_iter().fold(0, |bits, each| bits | each.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_bit_of_its_own() {
        let all: By = Dimension::value_variants().iter().copied().collect();
        assert_eq!(all.bits().count_ones() as usize, Dimension::value_variants().len());
        assert_eq!(all.iter().collect::<Vec<_>>(), Dimension::value_variants());
        let two: By = [Dimension::Route, Dimension::Remote].into_iter().collect();
        assert_eq!(two.bits(), by::ROUTE | by::REMOTE);
        assert!(two.has(Dimension::Route) && !two.has(Dimension::Local) && !two.is_empty());
    }
}
