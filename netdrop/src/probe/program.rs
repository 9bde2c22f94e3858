//! The program in the kernel: load, attach, ask.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_insn, bpf_prog_info, bpf_prog_type};

use super::{Attach, ProbeError, sys};

const TRACEPOINT: &CStr = c"kfree_skb";
const LOG_BYTES: usize = 1 << 20;

/// The program's name in the object.
pub fn name(attach: Attach) -> &'static str {
    match attach {
        Attach::TpBtf | Attach::Auto => "kfree_skb",
        Attach::Raw => "kfree_skb_raw",
    }
}

/// Loads the instructions, a second time with the verifier's log when it's refused.
pub fn load(
    attach: Attach,
    type_id: u32,
    instructions: &[bpf_insn],
    license: &CString,
) -> Result<OwnedFd, ProbeError> {
    let typed = attach != Attach::Raw;
    let load = sys::Load {
        name: if typed { c"netdrop" } else { c"netdrop_raw" },
        program_type: if typed {
            bpf_prog_type::BPF_PROG_TYPE_TRACING
        } else {
            bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT
        },
        attach: typed.then_some((bpf_attach_type::BPF_TRACE_RAW_TP, type_id)),
        instructions,
        license,
    };
    sys::program_load(&load, &mut []).or_else(|error| {
        let mut log = vec![0; LOG_BYTES];
        sys::program_load(&load, &mut log).map_err(|_| ProbeError::Load {
            name: name(attach),
            error,
            log: CStr::from_bytes_until_nul(&log)
                .map_or_else(|_| String::new(), |log| log.to_string_lossy().into()),
        })
    })
}

/// Attaches it; closing the descriptor detaches it.
pub fn attach(attach: Attach, program: impl AsFd) -> Result<OwnedFd, ProbeError> {
    let name = (attach == Attach::Raw).then_some(TRACEPOINT);
    sys::raw_tracepoint_open(program, name).map_err(|error| ProbeError::Attach { error })
}

/// What the kernel says of it.
pub fn info(program: impl AsFd) -> Result<bpf_prog_info, ProbeError> {
    sys::program_info(program).map_err(|error| ProbeError::Read { what: "the program's statistics", error })
}
