//! bpf(2), as far as aya's loader isn't used: that one parses the kernel's whole BTF at each start, which takes
//! 25 ms and 20 MB, for one type id that [`crate::kernel`] has found already.

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_link_info, bpf_prog_info, bpf_prog_type,
};

/// Writes `value` at `key`. Both must have the map's sizes.
pub fn map_update(map: &impl AsFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd_number(map);
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Reads the value at `key`. Both must have the map's sizes.
pub fn map_lookup(map: &impl AsFd, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd_number(map);
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr).map(drop)
}

/// Removes the value at `key`, which must have the map's size.
pub fn map_delete(map: &impl AsFd, key: &[u8]) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd_number(map);
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

/// Makes a map read-only for everyone: the verifier then takes its contents for constants.
pub fn map_freeze(map: &impl AsFd) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd_number(map);
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
}

/// What `BPF_PROG_LOAD` takes.
pub struct Load<'a> {
    pub name: &'a CStr,
    pub program_type: bpf_prog_type,
    /// With the type id, for `tp_btf`.
    pub attach: Option<(bpf_attach_type, u32)>,
    pub instructions: &'a [bpf_insn],
    pub license: &'a CStr,
}

/// Loads a program. The verifier's log is taken only when there is room for it.
pub fn program_load(load: &Load<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: these are the members of the union that the command reads.
    let program = unsafe { &mut attr.__bindgen_anon_3 };
    for (to, from) in program.prog_name.iter_mut().take(15).zip(load.name.to_bytes()) {
        *to = from.cast_signed() as _;
    }
    program.prog_type = load.program_type as u32;
    program.insns = load.instructions.as_ptr() as u64;
    program.insn_cnt = u32::try_from(load.instructions.len()).map_err(io::Error::other)?;
    program.license = load.license.as_ptr() as u64;
    if let Some((kind, type_id)) = load.attach {
        program.expected_attach_type = kind as u32;
        program.attach_btf_id = type_id;
    }
    if !log.is_empty() {
        program.log_level = 1;
        program.log_buf = log.as_mut_ptr() as u64;
        program.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
    }
    let fd = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr)?;
    // SAFETY: the command gives a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program to a raw tracepoint; `name` is null for `tp_btf`, which knows its own.
pub fn raw_tracepoint_open(program: &impl AsFd, name: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.raw_tracepoint.name = name.map_or(0, |name| name.as_ptr() as u64);
    attr.raw_tracepoint.prog_fd = fd_number(program);
    let fd = bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr)?;
    // SAFETY: the command gives a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct bpf_prog_info`; members that the kernel doesn't know stay zero.
pub fn program_info(program: &impl AsFd) -> io::Result<bpf_prog_info> {
    // SAFETY: all zeros is a valid value of this plain struct.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = fd_number(program);
    attr.info.info = &raw mut info as u64;
    attr.info.info_len = u32::try_from(mem::size_of_val(&info)).map_err(io::Error::other)?;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

/// The number of the program behind a link; an error where the descriptor is no link (any more).
pub fn link_program(link: &impl AsFd) -> io::Result<u32> {
    // SAFETY: all zeros is a valid value of this plain struct.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = fd_number(link);
    attr.info.info = &raw mut info as u64;
    attr.info.info_len = u32::try_from(mem::size_of_val(&info)).map_err(io::Error::other)?;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info.prog_id)
}

/// A descriptor of the program that the kernel knows by this number.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    let fd = bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: the command gives a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The numbers of the programs that are attached in this way to a device of the caller's network namespace; as many as
/// `ids` has room for.
pub fn programs_attached(ifindex: u32, attach: bpf_attach_type, ids: &mut [u32]) -> io::Result<usize> {
    let mut attr = zeroed_attr();
    attr.query.__bindgen_anon_1.target_ifindex = ifindex;
    attr.query.attach_type = attach as u32;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = u32::try_from(ids.len()).map_err(io::Error::other)?;
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the command writes this member of the union.
    let count = unsafe { attr.query.__bindgen_anon_2.prog_cnt };
    Ok(ids.len().min(count as usize))
}

/// Waits until every CPU has left what ran before: `synchronize_rcu` by way of membarrier(2).
pub fn wait_for_readers() {
    // SAFETY: the call takes numbers only. Where it isn't offered, the few drops in flight stay uncounted.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

fn zeroed_attr() -> bpf_attr {
    // SAFETY: all zeros is a valid value of this union of plain structs.
    unsafe { mem::zeroed() }
}

fn fd_number(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: `attr` is a valid bpf_attr of the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            mem::size_of::<bpf_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}
