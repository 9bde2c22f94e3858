//! Other people's programs: their names, and where they are attached.

use aya_obj::generated::bpf_attach_type;

use super::sys;
use crate::model::Direction;

/// `BPF_MPROG_MAX`: more programs can't be attached at one place.
const MOST: usize = 64;

/// The name that a program was loaded with, at most 15 characters. Absent where it has none, is gone, or may not be asked
/// (this needs `CAP_SYS_ADMIN`).
pub fn program_name(id: u32) -> Option<String> {
    let program = sys::program_by_id(id).ok()?;
    let info = sys::program_info(&program).ok()?;
    let name = info.name.iter().map(|char| char.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// The programs that tcx runs at a device of the caller's network namespace, in their order; none where the kernel has no
/// tcx (it came with 6.6).
pub fn tcx_programs(ifindex: u32, direction: Direction) -> Vec<u32> {
    let attach = match direction {
        Direction::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Direction::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    };
    let mut ids = [0; MOST];
    let count = sys::programs_attached(ifindex, attach, &mut ids).unwrap_or(0);
    ids[..count].to_vec()
}
