//! The program in the kernel: load, attach, ask.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_prog_info, bpf_prog_type};

use super::{Attach, ProbeError, sys};

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
        }
    }

    /// Its name in the kernel.
    fn kernel_name(self) -> &'static CStr {
        match self {
            Self::Typed(_) => c"netdrop",
            Self::Raw => c"netdrop_raw",
            Self::Trap => c"netdrop_trap",
            Self::Qdisc => c"netdrop_qdisc",
        }
    }

    /// What it hangs on, as the kernel and as people call it.
    fn tracepoint(self) -> (&'static CStr, &'static str) {
        match self {
            Self::Typed(_) | Self::Raw => (c"kfree_skb", "skb:kfree_skb"),
            Self::Trap => (c"devlink_trap_report", "devlink:devlink_trap_report"),
            Self::Qdisc => (c"qdisc_drop", "qdisc:qdisc_drop"),
        }
    }
}

/// Loads the instructions, a second time with the verifier's log when it's refused.
pub fn load(program: Program, instructions: &[bpf_insn], license: &CString) -> Result<OwnedFd, ProbeError> {
    let (program_type, attach) = match program {
        Program::Typed(type_id) => {
            (bpf_prog_type::BPF_PROG_TYPE_TRACING, Some((bpf_attach_type::BPF_TRACE_RAW_TP, type_id)))
        }
        Program::Raw | Program::Trap | Program::Qdisc => (bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, None),
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
    let name = (!matches!(program, Program::Typed(_))).then_some(name);
    sys::raw_tracepoint_open(loaded, name).map_err(|error| ProbeError::Attach { tracepoint, error })
}

/// What the kernel says of it.
pub fn info(program: &impl AsFd) -> Result<bpf_prog_info, ProbeError> {
    sys::program_info(program).map_err(|error| ProbeError::Read { what: "the program's statistics", error })
}
