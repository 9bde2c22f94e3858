//! A view of sysfs as the calling thread's network namespace has it: a mount that has no place in any tree, and goes when it is closed
//! (fsopen(2), since Linux 5.2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// `FSOPEN_CLOEXEC` and `FSMOUNT_CLOEXEC`; `FSCONFIG_CMD_CREATE`; `MOUNT_ATTR_RDONLY | NOSUID | NODEV | NOEXEC`.
const CLOSE_ON_EXEC: libc::c_uint = 1;
const CREATE: libc::c_uint = 6;
const READ_ONLY: libc::c_uint = 0xf;

/// Mounts it nowhere.
pub fn mounted_here() -> io::Result<OwnedFd> {
    const NAME: &CStr = c"sysfs";
    const NOTHING: *const libc::c_char = std::ptr::null();
    // SAFETY: the name ends with a zero; the call makes a descriptor that nobody else has.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, NAME.as_ptr(), CLOSE_ON_EXEC) })?;
    // SAFETY: this command takes no key and no value.
    if unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, NOTHING, NOTHING, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open; the call makes another that nobody else has.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOSE_ON_EXEC, READ_ONLY) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let descriptor = i32::try_from(result).ok().filter(|descriptor| *descriptor >= 0);
    // SAFETY: both callers have just made it.
    descriptor
        .map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
        .ok_or_else(io::Error::last_os_error)
}
