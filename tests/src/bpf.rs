//! The few bpf(2) commands that scenarios need: programs of two instructions, links to what they judge, a file for one, a
//! list of programs.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::lab::Skip;

const BPF_PROG_LOAD: i64 = 5;
const BPF_OBJ_PIN: i64 = 6;
const BPF_PROG_GET_NEXT_ID: i64 = 11;
const BPF_LINK_CREATE: i64 = 28;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_CGROUP_SKB: u32 = 8;
const BPF_CGROUP_INET_EGRESS: u32 = 1;
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const TC_ACT_SHOT: u32 = 2;

/// How an XDP program runs: `XDP_FLAGS_SKB_MODE` or `XDP_FLAGS_DRV_MODE` of `linux/if_link.h`.
#[derive(Clone, Copy)]
pub enum XdpMode {
    Generic = 1 << 1,
    Native = 1 << 2,
}

/// The name that the programs are loaded with.
pub const NAME: &str = "netdrop_test";

/// `XDP_DROP` of `linux/bpf.h`.
pub const XDP_DROP: u32 = 1;
/// `XDP_REDIRECT` of `linux/bpf.h`.
pub const XDP_REDIRECT: u32 = 4;

/// [`attach_xdp`] with `XDP_DROP`.
pub fn attach_xdp_drop(index: u32, mode: XdpMode) -> Result<[OwnedFd; 2]> {
    attach_xdp(index, mode, XDP_DROP)
}

/// Attaches a program that answers `verdict` to every frame of device `index` in the caller's namespace.
/// It is detached when the value is dropped.
pub fn attach_xdp(index: u32, mode: XdpMode, verdict: u32) -> Result<[OwnedFd; 2]> {
    let program = constant(BPF_PROG_TYPE_XDP, 0, verdict).context("BPF_PROG_LOAD of an XDP program")?;
    let link = link(&program, index, BPF_XDP, mode as u32)
        .map_err(|error| Skip(format!("no XDP link on this device: {error}")))?;
    Ok([link, program])
}

/// Attaches a program that answers `TC_ACT_SHOT` in front of the device's filters of tc: tcx, from 6.6 on.
pub fn attach_tcx_drop(index: u32) -> Result<[OwnedFd; 2]> {
    let program =
        constant(BPF_PROG_TYPE_SCHED_CLS, 0, TC_ACT_SHOT).context("BPF_PROG_LOAD of a classifier")?;
    let link = link(&program, index, BPF_TCX_INGRESS, 0)
        .map_err(|error| Skip(format!("no tcx link on this device: {error}")))?;
    Ok([link, program])
}

/// A program that answers `TC_ACT_SHOT`, as a file that tc(8) can be given. Both go when the value is dropped.
pub struct PinnedDrop {
    folder: PathBuf,
}

impl PinnedDrop {
    /// Loads it, and mounts a BPF file system for it on `folder`, which is made.
    pub fn create(folder: &str) -> Result<Self> {
        let program =
            constant(BPF_PROG_TYPE_SCHED_CLS, 0, TC_ACT_SHOT).context("BPF_PROG_LOAD of a classifier")?;
        fs::create_dir_all(folder)?;
        mount(Some("bpf"), folder, Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("can't mount a BPF file system")?;
        let pinned = Self { folder: folder.into() };
        let path = CString::new(pinned.path())?;
        let mut pin = [0u8; 12];
        put(&mut pin, 0, &(path.as_ptr() as u64).to_ne_bytes());
        put(&mut pin, 8, &program.as_raw_fd().to_ne_bytes());
        bpf(BPF_OBJ_PIN, &mut pin).context("BPF_OBJ_PIN")?;
        Ok(pinned)
    }

    /// The program's path.
    pub fn path(&self) -> String {
        self.folder.join("drop").to_string_lossy().into_owned()
    }
}

impl Drop for PinnedDrop {
    fn drop(&mut self) {
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}

/// Attaches a program that refuses every packet that sockets of this cgroup send.
pub fn attach_cgroup_egress_drop(cgroup: &File) -> Result<[OwnedFd; 2]> {
    let program = constant(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 0)
        .map_err(|error| Skip(format!("no BPF programs for cgroups here: {error}")))?;
    let target = u32::try_from(cgroup.as_raw_fd())?;
    let link = link(&program, target, BPF_CGROUP_INET_EGRESS, 0)
        .map_err(|error| Skip(format!("no BPF link to a cgroup here: {error}")))?;
    Ok([link, program])
}

/// A socket filter that lets no byte of a packet through.
pub fn socket_filter_drop() -> Result<OwnedFd> {
    constant(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0).context("BPF_PROG_LOAD of a socket filter")
}

/// Loads a program of two instructions, `r0 = verdict; exit`.
fn constant(kind: u32, attach: u32, verdict: u32) -> Result<OwnedFd, Error> {
    let program: [u64; 2] = [(u64::from(verdict) << 32) | 0xb7, 0x95];
    let license = c"GPL";
    let mut load = [0u8; 72];
    put(&mut load, 0, &kind.to_ne_bytes());
    put(&mut load, 4, &2u32.to_ne_bytes());
    put(&mut load, 8, &(program.as_ptr() as u64).to_ne_bytes());
    put(&mut load, 16, &(license.as_ptr() as u64).to_ne_bytes());
    put(&mut load, 48, NAME.as_bytes());
    put(&mut load, 68, &attach.to_ne_bytes());
    descriptor(BPF_PROG_LOAD, &mut load)
}

/// A link from a program to a device's index or a cgroup's descriptor.
fn link(program: &OwnedFd, target: u32, attach: u32, flags: u32) -> Result<OwnedFd, Error> {
    let mut create = [0u8; 16];
    put(&mut create, 0, &program.as_raw_fd().to_ne_bytes());
    put(&mut create, 4, &target.to_ne_bytes());
    put(&mut create, 8, &attach.to_ne_bytes());
    put(&mut create, 12, &flags.to_ne_bytes());
    descriptor(BPF_LINK_CREATE, &mut create)
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
