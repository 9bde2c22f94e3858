//! The parts of a packet's way through the host, from the cable to the application.

use std::fmt;

use serde::{Serialize, Serializer};

/// Where on a packet's way something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Cable, module and port.
    Link,
    /// The network card's rings.
    Ring,
    /// Interrupts and queues.
    Interrupts,
    /// The software interrupt and its backlog.
    Softirq,
    /// Neighbours: ARP and NDP.
    Neighbour,
    /// Connection tracking.
    Conntrack,
    /// Rules of firewalls.
    Netfilter,
    /// Routes, fragments, reverse path.
    Routing,
    /// Queueing disciplines and transmission.
    Qdisc,
    /// UDP and its sockets.
    Udp,
    /// TCP and its sockets.
    Tcp,
    /// Who reads from the sockets.
    Application,
    /// Settings that fight each other.
    Settings,
}

impl Area {
    /// The name, as `--only` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Ring => "ring",
            Self::Interrupts => "interrupts",
            Self::Softirq => "softirq",
            Self::Neighbour => "neighbour",
            Self::Conntrack => "conntrack",
            Self::Netfilter => "netfilter",
            Self::Routing => "routing",
            Self::Qdisc => "qdisc",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Application => "application",
            Self::Settings => "settings",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Area {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
