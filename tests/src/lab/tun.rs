//! Tun and tap devices.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};

use super::{Namespace, Skip};

/// Opens a device of the namespace, which goes with the descriptor: `TUNSETIFF` of tuntap.rst. `kind` is `IFF_TUN` or `IFF_TAP`.
pub fn open_tun(namespace: &Namespace, name: &str, kind: libc::c_int) -> Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    namespace.enter(|| {
        let tun = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .map_err(|error| Skip(format!("no /dev/net/tun: {error}")))?;
        // SAFETY: an all-zero ifreq is valid; the name is short and stays zero-terminated.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(kind | libc::IFF_NO_PI)?;
        // SAFETY: TUNSETIFF reads and writes this ifreq.
        if unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, &raw mut request) } != 0 {
            return Err(std::io::Error::last_os_error()).context("TUNSETIFF");
        }
        Ok(tun)
    })
}
