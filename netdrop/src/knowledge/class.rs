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
