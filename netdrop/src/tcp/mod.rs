//! TCP's own story: what the subcommands of `netdrop tcp` make of events and counts; a folder a subcommand. Pure.

pub mod accounts;
pub mod by;
mod columns;
mod csv;
pub mod digest;
pub mod life;
pub mod queues;
pub mod resets;
pub mod retransmits;
mod rows;
pub mod rtt;
#[cfg(test)]
pub(crate) mod samples;
pub mod states;
pub mod tally;
pub mod why;
pub mod words;

/// What is wanted of the programs on TCP's tracepoints. What isn't wanted isn't loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is wanted or not, whatever the others are")]
pub struct Wanted {
    /// `tcp_retransmit_skb`, `tcp_retransmit_synack`.
    pub retransmits: bool,
    /// `tcp_send_reset`, `tcp_receive_reset`.
    pub resets: bool,
    /// Changes of state in detail.
    pub states: bool,
    /// Ends of connections in detail.
    pub closes: bool,
    /// Changes of state counted, with the time in each.
    pub transitions: bool,
    /// Listeners' queues and ports in use, sampled by [`crate::daemon::TcpQueueWatch`].
    pub queues: bool,
    /// Smoothed round-trip times.
    pub rtt_smoothed: bool,
    /// Round-trip times of each acknowledgement.
    pub rtt_samples: bool,
    /// What round-trip times are told apart by: bits of netdrop-common's `tcp::by`.
    pub rtt_by: u32,
}
