//! What this kernel's TCP is: where its members are, which tracepoints it has, and what it calls its reasons for resets.

mod layout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use netdrop_common::Layout;
use netdrop_common::tcp::TcpLayout;

use super::btf::{Btf, Tracepoint};
use super::layout::{LayoutError, layout as shared_layout};

pub use layout::wanted_members;

/// The enum of reasons for resets (`include/net/rstreason.h`; 6.10 on).
pub const RESET_REASONS: &str = "sk_rst_reason";
const RESET_REASON: &str = "SK_RST_REASON_";

/// The tracepoints that tell of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpTracepoint {
    /// `tcp:tcp_retransmit_skb`.
    Retransmit,
    /// `tcp:tcp_retransmit_synack`.
    RetransmitSynAck,
    /// `tcp:tcp_send_reset`.
    ResetSent,
    /// `tcp:tcp_receive_reset`.
    ResetReceived,
    /// `sock:inet_sock_set_state`.
    State,
    /// `tcp:tcp_destroy_sock`.
    Destroy,
    /// `tcp:tcp_probe`.
    Probe,
}

impl TcpTracepoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Retransmit,
        Self::RetransmitSynAck,
        Self::ResetSent,
        Self::ResetReceived,
        Self::State,
        Self::Destroy,
        Self::Probe,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmit => "tcp_retransmit_skb",
            Self::RetransmitSynAck => "tcp_retransmit_synack",
            Self::ResetSent => "tcp_send_reset",
            Self::ResetReceived => "tcp_receive_reset",
            Self::State => "inet_sock_set_state",
            Self::Destroy => "tcp_destroy_sock",
            Self::Probe => "tcp_probe",
        }
    }
}

/// How a program reads a `struct tcp_sock` without a helper (`bpf_rdonly_cast`; 6.2 on), by BTF type ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCast {
    /// The function.
    pub function: u32,
    /// The struct.
    pub tcp_sock: u32,
}

/// This kernel's TCP.
#[derive(Debug, Clone)]
pub struct TcpKernel {
    /// Members of TCP's structs.
    pub layout: TcpLayout,
    /// Members of packets and sockets.
    pub shared: Layout,
    /// The tracepoints that it has.
    pub tracepoints: BTreeMap<TcpTracepoint, Tracepoint>,
    /// How `struct tcp_sock` can be read without a helper.
    pub cast: Option<TcpCast>,
    /// Its reasons for resets, in its own words without their prefix; empty before 6.10.
    pub reset_reasons: BTreeMap<u32, Arc<str>>,
}

impl TcpKernel {
    /// Of the kernel whose BTF it is.
    ///
    /// # Errors
    /// When a member is missing that nothing works without.
    pub fn from_btf(btf: &Btf) -> Result<Self, LayoutError> {
        let found = |one: TcpTracepoint| Some((one, btf.tracepoint(one.name()).ok()?));
        let cast = || {
            Some(TcpCast { function: btf.function("bpf_rdonly_cast")?, tcp_sock: btf.structure("tcp_sock")? })
        };
        Ok(Self {
            layout: layout::layout(btf),
            shared: shared_layout(btf)?,
            tracepoints: TcpTracepoint::ALL.into_iter().filter_map(found).collect(),
            cast: cast(),
            reset_reasons: reset_reasons(btf),
        })
    }

    /// How many arguments a tracepoint has; 0 where the kernel lacks it.
    pub fn arguments(&self, tracepoint: TcpTracepoint) -> u32 {
        let found = self.tracepoints.get(&tracepoint);
        found.and_then(|found| u32::try_from(found.arguments).ok()).unwrap_or(0)
    }
}

fn reset_reasons(btf: &Btf) -> BTreeMap<u32, Arc<str>> {
    let values = btf.enum_values(RESET_REASONS).unwrap_or_default();
    let named = values.iter().filter_map(|one| {
        let name = one.name.strip_prefix(RESET_REASON)?;
        Some((u32::try_from(one.value).ok()?, name)).filter(|_| name != "MAX")
    });
    named.map(|(number, name)| (number, name.into())).collect()
}
