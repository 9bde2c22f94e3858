//! The driver's own counters, as `ethtool -S` shows them: `SIOCETHTOOL` of netdevice(7), `include/uapi/linux/ethtool.h`.
//! The netlink interface of ethtool has the standard groups alone, so the old call it is.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::netlink::{text, u32_at};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x3;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRXFHINDIR: u32 = 0x38;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;
/// `ETH_GSTRING_LEN`.
const NAME: usize = 32;
/// Queues may be added between two calls, and the kernel doesn't ask how much room there is.
const SLACK: usize = 4096;
/// `UDP_V4_FLOW`.
const UDP_V4: u32 = 2;
/// `RXH_L4_B_0_1 | RXH_L4_B_2_3`: source and destination port.
const PORTS: u32 = 0xc0;
/// Bytes of `struct ethtool_drvinfo` and `struct ethtool_rxnfc` behind their heads here.
const DRIVER_INFO: usize = 192;
const FLOW: usize = 176;
/// More than any driver has.
const MOST: usize = 1 << 20;

/// Asks devices of the namespace in which it was made.
#[derive(Debug)]
pub struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    /// In the caller's namespace.
    pub fn new() -> io::Result<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self { socket })
    }

    /// The counters of a device; none where its driver has none.
    pub fn read(&self, device: &str) -> io::Result<Vec<(String, u64)>> {
        let count = match self.count(device) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => 0,
            count => count?.min(MOST),
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut names = request(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, number(count)], (count + SLACK) * NAME);
        self.ask(device, &mut names)?;
        let mut values = request(&[ETHTOOL_GSTATS, number(count)], (count + SLACK) * 8);
        self.ask(device, &mut values)?;
        Ok(counters(&bytes(&names), &bytes(&values)))
    }

    /// The driver's name.
    pub fn driver(&self, device: &str) -> io::Result<String> {
        let mut info = request(&[ETHTOOL_GDRVINFO], DRIVER_INFO);
        self.ask(device, &mut info)?;
        Ok(text(&bytes(&info)[4..4 + NAME]))
    }

    /// Whether UDP over IPv4 is spread over the queues by its ports; `None` where it isn't spread by anything.
    pub fn hashes_udp_ports(&self, device: &str) -> io::Result<Option<bool>> {
        let mut flow = request(&[ETHTOOL_GRXFH, UDP_V4, 0, 0], FLOW);
        self.ask(device, &mut flow)?;
        let fields = u32_at(&bytes(&flow), 8).filter(|fields| *fields != 0);
        Ok(fields.map(|fields| fields & PORTS == PORTS))
    }

    /// The receive queue of each part of the hash.
    pub fn indirection(&self, device: &str) -> io::Result<Vec<u32>> {
        let mut size = request(&[ETHTOOL_GRXFHINDIR, 0], 0);
        self.ask(device, &mut size)?;
        let count = u32_at(&bytes(&size), 4).map_or(0, |count| count as usize).min(MOST);
        let mut table = request(&[ETHTOOL_GRXFHINDIR, number(count)], (count + SLACK) * 4);
        self.ask(device, &mut table)?;
        Ok(bytes(&table)[8..]
            .as_chunks()
            .0
            .iter()
            .take(count)
            .map(|entry| u32::from_ne_bytes(*entry))
            .collect())
    }

    /// `struct ethtool_sset_info`: how many counters there are.
    fn count(&self, device: &str) -> io::Result<usize> {
        let mut info = request(&[ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_STATS, 0], 8);
        self.ask(device, &mut info)?;
        let bytes = bytes(&info);
        let has_set = u32_at(&bytes, 8) != Some(0);
        Ok(u32_at(&bytes, 16).filter(|_| has_set).map_or(0, |count| count as usize))
    }

    fn ask(&self, device: &str, request: &mut [u64]) -> io::Result<()> {
        // SAFETY: an all-zero ifreq is valid.
        let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
        if device.len() >= ifreq.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in ifreq.ifr_name.iter_mut().zip(device.bytes()) {
            *to = from.cast_signed() as _;
        }
        ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
        // SAFETY: the name ends in zero, as the struct was zeroed and it is shorter; the data point to a request of its
        // command's form with more room than the device had counters just now.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut ifreq) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The head in whole words, and room: the kernel wants `u64`s where it writes them.
fn request(head: &[u32], room: usize) -> Vec<u64> {
    let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.resize(bytes.len() + room, 0);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.as_chunks().0.iter().map(|chunk| u64::from_ne_bytes(*chunk)).collect()
}

fn bytes(request: &[u64]) -> Vec<u8> {
    request.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `struct ethtool_gstrings` and `struct ethtool_stats`: as many as both have. A name may come twice.
pub fn counters(names: &[u8], values: &[u8]) -> Vec<(String, u64)> {
    let count = |bytes, offset| u32_at(bytes, offset).map_or(0, |count| count as usize);
    let count = count(names, 8).min(count(values, 4));
    let names = names.get(12..).unwrap_or_default().as_chunks::<NAME>().0;
    let values = values.get(8..).unwrap_or_default().as_chunks().0;
    let pairs = names.iter().zip(values).take(count);
    pairs.map(|(name, value)| (text(name).trim().to_owned(), u64::from_ne_bytes(*value))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the kernel answers.
    fn answers(counters: &[(String, u64)]) -> (Vec<u8>, Vec<u8>) {
        let count = number(counters.len());
        let mut names = bytes(&request(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count], 0));
        names.truncate(12);
        let mut values = bytes(&request(&[ETHTOOL_GSTATS, count], 0));
        for (name, value) in counters {
            let mut field = [0; NAME];
            field[..name.len()].copy_from_slice(name.as_bytes());
            names.extend(field);
            values.extend(value.to_ne_bytes());
        }
        (names, values)
    }

    proptest! {
        /// Names fill their field up to the last byte.
        #[test]
        fn counters_come_back(list in proptest::collection::vec(("[a-z0-9_]{1,32}", any::<u64>()), 0..9)) {
            let (names, values) = answers(&list);
            prop_assert_eq!(counters(&names, &values), list.clone());
            // The slack behind them is no counter.
            let slack = [0; 64];
            prop_assert_eq!(counters(&[&names, &slack[..]].concat(), &[&values, &slack[..]].concat()), list);
        }

        #[test]
        fn any_bytes_will_do(names in proptest::collection::vec(any::<u8>(), 0..100), values in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(counters(&names, &values).len() <= 3);
        }
    }
}
