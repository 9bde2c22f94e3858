//! The neighbours of a network namespace: `RTM_GETNEIGH` of rtnetlink(7), as `ip neigh` reads them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::sys::socket::SockProtocol;

use super::netlink::{attribute, each_of, u16_at, u32_at};

const RTM_GETNEIGH: u16 = 30;
/// Bytes of `struct ndmsg`; the places of its members (`include/uapi/linux/neighbour.h`).
const HEADER: usize = 12;
const INDEX: usize = 4;
const STATE: usize = 8;
const FLAGS: usize = 10;
const NDA_DST: u16 = 1;
/// `NUD_*`: nobody answered yet, nobody did, and what is never collected.
const INCOMPLETE: u16 = 0x01;
const FAILED: u16 = 0x20;
const PERMANENT: u16 = 0x80;
/// `NTF_EXT_LEARNED`: a routing daemon keeps it.
const EXT_LEARNED: u8 = 0x10;
/// Silent neighbours that are kept: enough to name some of them.
const KEPT: usize = 64;

/// A neighbour that doesn't answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Its address.
    pub address: IpAddr,
    /// The device's index.
    pub index: u32,
    /// The device's name; empty where it isn't known.
    pub device: String,
    /// The question is given up (`FAILED`); else it is being asked.
    pub failed: bool,
}

/// The neighbours of a namespace, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Those of IPv4 and IPv6 that don't count towards `gc_thresh3`: permanent ones and those of routing daemons.
    pub exempt: [u64; 2],
    /// Some of those that don't answer.
    pub silent: Vec<Silent>,
    /// How many of them there are.
    pub silent_count: u64,
}

impl Neighbours {
    /// Adds one `RTM_NEWNEIGH`; one that isn't whole, or of another family, is left out.
    pub fn add(&mut self, message: &[u8]) {
        let Some((state, flags)) = u16_at(message, STATE).zip(message.get(FLAGS)) else { return };
        let address = message.get(HEADER..).and_then(|body| attribute(body, NDA_DST)).and_then(address_of);
        let Some((address, index)) = address.zip(u32_at(message, INDEX)) else { return };
        if state & PERMANENT != 0 || flags & EXT_LEARNED != 0 {
            self.exempt[usize::from(address.is_ipv6())] += 1;
        } else if state & (INCOMPLETE | FAILED) != 0 {
            self.silent_count += 1;
            if self.silent.len() < KEPT {
                let failed = state & FAILED != 0;
                self.silent.push(Silent { address, index, device: String::new(), failed });
            }
        }
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

/// Asks the kernel for those of the caller's namespace.
///
/// # Errors
/// When it doesn't answer.
pub fn read() -> io::Result<Neighbours> {
    let mut neighbours = Neighbours::default();
    each_of(SockProtocol::NetlinkRoute, RTM_GETNEIGH, &[0; HEADER], |answer| {
        neighbours.add(answer);
        true
    })?;
    for silent in &mut neighbours.silent {
        let name = nix::net::if_::if_indextoname(silent.index).ok();
        silent.device = name.map_or(String::new(), |name| name.to_string_lossy().into_owned());
    }
    Ok(neighbours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    fn message(state: u16, flags: u8, address: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 7, 0, 0, 0];
        bytes.extend(state.to_ne_bytes());
        bytes.extend([flags, 1]);
        bytes.extend(encoded(NDA_DST, address));
        bytes
    }

    #[test]
    fn neighbours_are_added_up() {
        let mut found = Neighbours::default();
        found.add(&message(FAILED, 0, &[10, 9, 0, 99]));
        found.add(&message(INCOMPLETE, 0, &[0xfd; 16]));
        found.add(&message(0x02, 0, &[10, 9, 0, 2]));
        found.add(&message(PERMANENT, 0, &[10, 9, 0, 3]));
        found.add(&message(0x02, EXT_LEARNED, &[0xfd; 16]));
        found.add(&message(FAILED, 0, &[1, 2, 3]));
        assert_eq!((found.exempt, found.silent_count), ([1, 1], 2));
        let told = |one: &Silent| (one.address.to_string(), one.index, one.failed);
        assert_eq!(told(&found.silent[0]), ("10.9.0.99".into(), 7, true));
        assert!(!found.silent[1].failed);
    }

    #[test]
    fn this_kernel_answers() {
        read().unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            Neighbours::default().add(&bytes);
        }
    }
}
