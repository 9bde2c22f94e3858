//! The classes of drops.

use std::fmt;
use std::str::FromStr;

/// What kind of event a drop is; a reason has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A rule or a filter decided so.
    Policy,
    /// A queue or memory limit was reached.
    Congestion,
    /// Nobody waits for the packet.
    NoReceiver,
    /// The packet is broken or contradicts its protocol.
    Malformed,
    /// There is no way to, or from, the address.
    Routing,
    /// The normal end of a packet, a connection or a socket: no loss.
    Lifecycle,
    /// The kernel gives no reason, or one that netdrop does not know.
    Unknown,
}

/// No class of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no class `{name}`; the classes are {}", Class::ALL.map(Class::as_str).join(", "))]
pub struct UnknownClass {
    /// What was asked for.
    pub name: String,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::Policy,
        Self::Congestion,
        Self::NoReceiver,
        Self::Malformed,
        Self::Routing,
        Self::Lifecycle,
        Self::Unknown,
    ];

    /// The class as it is written in filters and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Congestion => "congestion",
            Self::NoReceiver => "no-receiver",
            Self::Malformed => "malformed",
            Self::Routing => "routing",
            Self::Lifecycle => "lifecycle",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        let found = Self::ALL.into_iter().find(|class| class.as_str().eq_ignore_ascii_case(name));
        found.ok_or_else(|| UnknownClass { name: name.to_owned() })
    }
}
