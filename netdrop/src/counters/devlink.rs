//! devlink(8), by generic netlink: whether hardware here can tell what it drops (`include/uapi/linux/devlink.h`).

use std::io;

use super::generic::{dump, family};

/// `DEVLINK_CMD_TRAP_GET`.
const TRAP_GET: u8 = 61;

/// Whether any device of the caller's network namespace has packet traps (devlink-trap).
///
/// # Errors
/// When the kernel doesn't answer. That it has no devlink is no error.
pub fn has_traps() -> io::Result<bool> {
    let Some(devlink) = family("devlink")? else { return Ok(false) };
    Ok(!dump(devlink, TRAP_GET, &[])?.is_empty())
}
