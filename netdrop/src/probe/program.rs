//! The program in the kernel: load, attach, ask.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_prog_info, bpf_prog_type};

use super::{Attach, ProbeError, sys};
use crate::kernel::tcp::TcpTracepoint;

const LOG_BYTES: usize = 1 << 20;

/// One of the object's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// On `kfree_skb` by `tp_btf`; with the type id of `btf_trace_kfree_skb`.
    Typed(u32),
    /// On `kfree_skb` as a raw tracepoint.
    Raw,
    /// On `devlink_trap_report`.
    Trap,
    /// On `qdisc_drop`.
    Qdisc,
    /// On one of TCP's tracepoints: by `tp_btf` with the type id, else as a raw tracepoint.
    Tcp(TcpTracepoint, Option<u32>),
}

impl Program {
    /// The one for this way to attach.
    pub fn of(attach: Attach, type_id: u32) -> Self {
        match attach {
            Attach::TpBtf | Attach::Auto => Self::Typed(type_id),
            Attach::Raw => Self::Raw,
        }
    }

    /// Its name in the object.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typed(_) => "kfree_skb",
            Self::Raw => "kfree_skb_raw",
            Self::Trap => "devlink_trap",
            Self::Qdisc => "qdisc_drop",
            Self::Tcp(tracepoint, type_id) => tcp_name(tracepoint, type_id.is_some()),
        }
    }

    /// Its name in the kernel.
    fn kernel_name(self) -> &'static CStr {
        match self {
            Self::Typed(_) => c"netdrop",
            Self::Raw => c"netdrop_raw",
            Self::Trap => c"netdrop_trap",
            Self::Qdisc => c"netdrop_qdisc",
            Self::Tcp(..) => c"netdrop_tcp",
        }
    }

    /// What it hangs on, as the kernel and as people call it.
    fn tracepoint(self) -> (&'static CStr, &'static str) {
        match self {
            Self::Typed(_) | Self::Raw => (c"kfree_skb", "skb:kfree_skb"),
            Self::Trap => (c"devlink_trap_report", "devlink:devlink_trap_report"),
            Self::Qdisc => (c"qdisc_drop", "qdisc:qdisc_drop"),
            Self::Tcp(tracepoint, _) => tcp_tracepoint(tracepoint),
        }
    }

    /// The type id of a program by `tp_btf`.
    fn type_id(self) -> Option<u32> {
        match self {
            Self::Typed(type_id) => Some(type_id),
            Self::Tcp(_, type_id) => type_id,
            Self::Raw | Self::Trap | Self::Qdisc => None,
        }
    }
}

/// One program serves both ways to attach, but for the one that is called for each segment.
fn tcp_name(tracepoint: TcpTracepoint, typed: bool) -> &'static str {
    if tracepoint == TcpTracepoint::Probe && !typed { "tcp_probe_raw" } else { tracepoint.name() }
}

fn tcp_tracepoint(tracepoint: TcpTracepoint) -> (&'static CStr, &'static str) {
    match tracepoint {
        TcpTracepoint::Retransmit => (c"tcp_retransmit_skb", "tcp:tcp_retransmit_skb"),
        TcpTracepoint::RetransmitSynAck => (c"tcp_retransmit_synack", "tcp:tcp_retransmit_synack"),
        TcpTracepoint::ResetSent => (c"tcp_send_reset", "tcp:tcp_send_reset"),
        TcpTracepoint::ResetReceived => (c"tcp_receive_reset", "tcp:tcp_receive_reset"),
        TcpTracepoint::State => (c"inet_sock_set_state", "sock:inet_sock_set_state"),
        TcpTracepoint::Destroy => (c"tcp_destroy_sock", "tcp:tcp_destroy_sock"),
        TcpTracepoint::Probe => (c"tcp_probe", "tcp:tcp_probe"),
    }
}

/// Loads the instructions, a second time with the verifier's log when it's refused.
pub fn load(program: Program, instructions: &[bpf_insn], license: &CString) -> Result<OwnedFd, ProbeError> {
    let (program_type, attach) = match program.type_id() {
        Some(type_id) => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some((bpf_attach_type::BPF_TRACE_RAW_TP, type_id)))
        }
        None => (bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, None),
    };
    let load = sys::Load { name: program.kernel_name(), program_type, attach, instructions, license };
    sys::program_load(&load, &mut []).or_else(|error| {
        let mut log = vec![0; LOG_BYTES];
        sys::program_load(&load, &mut log).map_err(|_| ProbeError::Load {
            name: program.name(),
            error,
            log: CStr::from_bytes_until_nul(&log)
                .map_or_else(|_| String::new(), |log| log.to_string_lossy().into()),
        })
    })
}

/// Attaches it; closing the descriptor detaches it.
pub fn attach(program: Program, loaded: &impl AsFd) -> Result<OwnedFd, ProbeError> {
    let (name, tracepoint) = program.tracepoint();
    // A typed one knows its own.
    let name = program.type_id().is_none().then_some(name);
    sys::raw_tracepoint_open(loaded, name).map_err(|error| ProbeError::Attach { tracepoint, error })
}

/// What the kernel says of it.
pub fn info(program: &impl AsFd) -> Result<bpf_prog_info, ProbeError> {
    sys::program_info(program).map_err(|error| ProbeError::Read { what: "the program's statistics", error })
}
