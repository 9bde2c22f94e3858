//! devlink(8), by generic netlink: whether hardware here can tell what it drops (`include/uapi/linux/devlink.h`).

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{attribute, dump_of, text, u16_at};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME` (`include/uapi/linux/genetlink.h`).
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `DEVLINK_CMD_TRAP_GET`.
const TRAP_GET: u8 = 61;
/// Bytes of `struct genlmsghdr`.
const HEADER: usize = 4;

/// Whether any device of the caller's network namespace has packet traps (devlink-trap).
///
/// # Errors
/// When the kernel doesn't answer. That it has no devlink is no error.
pub fn has_traps() -> io::Result<bool> {
    let families = dump_of(SockProtocol::NetlinkGeneric, CONTROL, &header(GET_FAMILY))?;
    let Some(devlink) = families.iter().find_map(|family| number_of("devlink", family)) else {
        return Ok(false);
    };
    Ok(!dump_of(SockProtocol::NetlinkGeneric, devlink, &header(TRAP_GET))?.is_empty())
}

/// `struct genlmsghdr`: command and version.
const fn header(command: u8) -> [u8; HEADER] {
    [command, 1, 0, 0]
}

/// The number of the family that a message describes, if it has this name.
fn number_of(name: &str, message: &[u8]) -> Option<u16> {
    let attributes = message.get(HEADER..)?;
    let is_it = text(attribute(attributes, FAMILY_NAME)?) == name;
    u16_at(attribute(attributes, FAMILY_ID)?, 0).filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::super::netlink::tests::encoded;
    use super::*;

    #[test]
    fn a_family_is_found_by_its_name() {
        let mut message = header(1).to_vec();
        message.extend(encoded(FAMILY_NAME, b"devlink\0"));
        message.extend(encoded(FAMILY_ID, &28_u16.to_ne_bytes()));
        assert_eq!(number_of("devlink", &message), Some(28));
        assert_eq!(number_of("ethtool", &message), None);
        assert_eq!(number_of("devlink", &message[..20]), None);
        assert_eq!(number_of("devlink", &[]), None);
    }
}
