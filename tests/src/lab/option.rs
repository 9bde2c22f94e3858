//! Socket options that nix has no type for.

use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

/// Sets an option of `level` (setsockopt(2)); `value` is what it takes: a number, or a struct of the kernel's.
pub fn set_option<T>(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: &T) -> Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>())?;
    // SAFETY: the kernel reads the value, whose size is `length`, and what it points to, before the call returns.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    ensure!(result == 0, "setsockopt {level}, {name}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// What the kernel tells of a connection or a listener: `TCP_INFO` of tcp(7).
pub fn tcp_info(socket: &impl AsRawFd) -> Result<libc::tcp_info> {
    // SAFETY: all numbers, of which any may be zero.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info))?;
    let place = (&raw mut info).cast();
    // SAFETY: the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut length)
    };
    ensure!(result == 0, "TCP_INFO: {}", std::io::Error::last_os_error());
    Ok(info)
}
