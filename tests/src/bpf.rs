//! The three bpf(2) commands that scenarios need: a two-instruction program, a link to a device, a list of programs.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

use crate::lab::Skip;

const BPF_PROG_LOAD: i64 = 5;
const BPF_PROG_GET_NEXT_ID: i64 = 11;
const BPF_LINK_CREATE: i64 = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;

/// How an XDP program runs: `XDP_FLAGS_SKB_MODE` or `XDP_FLAGS_DRV_MODE` of `linux/if_link.h`.
#[derive(Clone, Copy)]
pub enum XdpMode {
    Generic = 1 << 1,
    Native = 1 << 2,
}

/// Attaches a program that answers `XDP_DROP` to every frame of device `index` in the caller's namespace.
/// It is detached when the value is dropped.
pub fn attach_xdp_drop(index: u32, mode: XdpMode) -> Result<[OwnedFd; 2]> {
    // r0 = XDP_DROP (1); exit
    let program: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
    let license = c"GPL";
    let mut load = [0u8; 72];
    put(&mut load, 0, &BPF_PROG_TYPE_XDP.to_ne_bytes());
    put(&mut load, 4, &2u32.to_ne_bytes());
    put(&mut load, 8, &(program.as_ptr() as u64).to_ne_bytes());
    put(&mut load, 16, &(license.as_ptr() as u64).to_ne_bytes());
    let program = descriptor(BPF_PROG_LOAD, &mut load).context("BPF_PROG_LOAD of an XDP program")?;
    let mut create = [0u8; 16];
    put(&mut create, 0, &program.as_raw_fd().to_ne_bytes());
    put(&mut create, 4, &index.to_ne_bytes());
    put(&mut create, 8, &BPF_XDP.to_ne_bytes());
    put(&mut create, 12, &(mode as u32).to_ne_bytes());
    let link = descriptor(BPF_LINK_CREATE, &mut create)
        .map_err(|error| Skip(format!("no XDP link on this device: {error}")))?;
    Ok([link, program])
}

/// The ids of all programs that are loaded now.
pub fn program_ids() -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    let mut attribute = [0u8; 12];
    loop {
        put(&mut attribute, 0, &ids.last().copied().unwrap_or(0u32).to_ne_bytes());
        match bpf(BPF_PROG_GET_NEXT_ID, &mut attribute) {
            Ok(_) => ids.push(u32::from_ne_bytes(attribute[4..8].try_into()?)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(ids),
            Err(error) => return Err(error).context("BPF_PROG_GET_NEXT_ID"),
        }
    }
}

fn descriptor(command: i64, attribute: &mut [u8]) -> Result<OwnedFd, Error> {
    let raw = i32::try_from(bpf(command, attribute)?).map_err(Error::other)?;
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn bpf(command: i64, attribute: &mut [u8]) -> Result<i64, Error> {
    // SAFETY: the attribute is as long as it says; pointers inside it outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_mut_ptr(), attribute.len()) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn put(attribute: &mut [u8], offset: usize, bytes: &[u8]) {
    attribute[offset..offset + bytes.len()].copy_from_slice(bytes);
}
