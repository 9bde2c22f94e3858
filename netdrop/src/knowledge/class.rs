//! Kinds of loss.

/// Placeholder of the shape; the class table lands with the kernel part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A rule or filter decided.
    Policy,
    /// A queue or memory limit.
    Congestion,
    /// Nobody wants it.
    NoReceiver,
    /// Checksums, headers, invalid sequence.
    Malformed,
    /// No route, neighbour failures, MTU.
    Routing,
    /// Normal ends.
    Lifecycle,
    /// The kernel doesn't say.
    Unknown,
}

impl Class {
    /// The name in kebab-case.
    pub fn as_str(self) -> &'static str {
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

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
