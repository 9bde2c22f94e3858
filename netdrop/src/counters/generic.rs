//! Generic netlink: families by their names (`include/uapi/linux/genetlink.h`).

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, Ended, attribute, text, u16_at};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME`.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Bytes of `struct genlmsghdr`.
pub const HEADER: usize = 4;

/// The number of a family; none where this kernel doesn't have it.
///
/// # Errors
/// When the kernel doesn't answer.
pub fn family(name: &str) -> io::Result<Option<u16>> {
    let families = dump(CONTROL, GET_FAMILY, &[])?;
    Ok(families.iter().find_map(|family| number_of(name, family)))
}

/// All answers of a family to a command with these attributes, in the caller's namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn dump(family: u16, command: u8, attributes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    dump_to_end(family, command, attributes).map(|(answers, _)| answers)
}

/// The same, with how it ended: one thing in trouble may keep the kernel from telling of the rest.
pub(super) fn dump_to_end(family: u16, command: u8, attributes: &[u8]) -> io::Result<(Vec<Vec<u8>>, Ended)> {
    netlink::dump_to_end(SockProtocol::NetlinkGeneric, family, &request(command, attributes))
}

/// The answer to a command about one thing; none where there is nothing to tell.
pub(super) fn ask(family: u16, command: u8, attributes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    netlink::ask(SockProtocol::NetlinkGeneric, family, &request(command, attributes))
}

fn request(command: u8, attributes: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], attributes].concat()
}

/// The number of the family that a message describes, if it has this name.
fn number_of(name: &str, message: &[u8]) -> Option<u16> {
    let attributes = message.get(HEADER..)?;
    let is_it = text(attribute(attributes, FAMILY_NAME)?) == name;
    u16_at(attribute(attributes, FAMILY_ID)?, 0).filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::super::netlink::encode;
    use super::*;

    #[test]
    fn a_family_is_found_by_its_name() {
        let mut message = vec![1, 1, 0, 0];
        message.extend(encode(FAMILY_NAME, b"devlink\0"));
        message.extend(encode(FAMILY_ID, &28_u16.to_ne_bytes()));
        assert_eq!(number_of("devlink", &message), Some(28));
        assert_eq!(number_of("ethtool", &message), None);
        assert_eq!(number_of("devlink", &message[..20]), None);
        assert_eq!(number_of("devlink", &[]), None);
    }
}
