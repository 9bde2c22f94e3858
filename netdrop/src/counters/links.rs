//! The devices of a namespace with their counters: `RTM_GETLINK` of rtnetlink(7).

use std::io;

use super::netlink::{attribute, dump, encode, text, u32_at};

const RTM_GETLINK: u16 = 18;
/// Bytes of `struct ifinfomsg`, and where its index is.
const INFO: usize = 16;
const INDEX: usize = 4;
/// `IFLA_*` of `include/uapi/linux/if_link.h`.
const FLAGS: usize = 8;
const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const LINKINFO: u16 = 18;
const INFO_KIND: u16 = 1;
const STATS64: u16 = 23;
const CARRIER_CHANGES: u16 = 35;
const LINK_NETNS: u16 = 37;
const TARGET_NETNS: u16 = 46;
const XDP: u16 = 43;
const XDP_PROG_ID: u16 = 4;
const XDP_DRV_PROG_ID: u16 = 5;
const XDP_SKB_PROG_ID: u16 = 6;
const XDP_HW_PROG_ID: u16 = 7;
const XDP_ATTACHED: u16 = 2;

/// The losses in `struct rtnl_link_stats64` (`include/uapi/linux/if_link.h`), by their place.
pub const LOSSES: [(usize, &str); 18] = [
    (4, "rx_errors"),
    (5, "tx_errors"),
    (6, "rx_dropped"),
    (7, "tx_dropped"),
    (9, "collisions"),
    (10, "rx_length_errors"),
    (11, "rx_over_errors"),
    (12, "rx_crc_errors"),
    (13, "rx_frame_errors"),
    (14, "rx_fifo_errors"),
    (15, "rx_missed_errors"),
    (16, "tx_aborted_errors"),
    (17, "tx_carrier_errors"),
    (18, "tx_fifo_errors"),
    (19, "tx_heartbeat_errors"),
    (20, "tx_window_errors"),
    (23, "rx_nohandler"),
    (24, "rx_otherhost_dropped"),
];

/// What went through, in the same struct.
const TRAFFIC: [usize; 4] = [0, 1, 2, 3];
/// `IFF_UP`, `IFF_LOOPBACK`, `IFF_RUNNING` (netdevice(7)).
const UP: u32 = 1;
const LOOPBACK: u32 = 8;
const RUNNING: u32 = 0x40;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, …; absent for hardware.
    pub kind: Option<String>,
    /// `IFF_*` of netdevice(7).
    pub flags: u32,
    /// Its hardware address.
    pub address: Vec<u8>,
    /// The largest packet that it takes, in bytes.
    pub mtu: u32,
    /// The index of the device below it, or of the other end of its pair.
    pub peer: Option<u32>,
    /// This namespace's number for the one that has that; absent where it is the same.
    pub peer_netns: Option<u32>,
    /// How often its carrier came or went; absent where the kernel doesn't count that.
    pub carrier_changes: Option<u32>,
    /// Packets received and sent, bytes received and sent.
    pub traffic: [u64; 4],
    /// The losses that it counted. A kernel that doesn't have a counter leaves it out.
    pub losses: Vec<(&'static str, u64)>,
    /// The XDP programs that see its packets.
    pub xdp: Vec<XdpProgram>,
}

impl Link {
    /// Whether it has a port: neither virtual nor the loopback.
    pub fn is_hardware(&self) -> bool {
        self.kind.is_none() && self.flags & LOOPBACK == 0
    }

    /// Whether it is to be up.
    pub fn is_up(&self) -> bool {
        self.flags & UP != 0
    }

    /// Whether it is up and has its carrier.
    pub fn is_running(&self) -> bool {
        self.flags & (UP | RUNNING) == UP | RUNNING
    }
}

/// An XDP program on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's number for it.
    pub id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before there is an skb.
    Native,
    /// In front of the stack, on skbs: its drops are netdrop's too.
    Generic,
    /// On the device itself.
    Offloaded,
}

impl XdpMode {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

/// The devices of the caller's namespace.
pub fn read() -> io::Result<Vec<Link>> {
    Ok(dump(RTM_GETLINK, &[0; INFO])?.iter().filter_map(|message| link(message)).collect())
}

/// The devices of another namespace, by the number that the caller's has for it (ip-netns(8), `list-id`).
pub fn read_of(netns: u32) -> io::Result<Vec<Link>> {
    let request = [&[0; INFO][..], &encode(TARGET_NETNS, &netns.to_ne_bytes())].concat();
    Ok(dump(RTM_GETLINK, &request)?.iter().filter_map(|message| link(message)).collect())
}

/// One `RTM_NEWLINK`; nothing where it isn't whole.
pub fn link(message: &[u8]) -> Option<Link> {
    let attributes = message.get(INFO..)?;
    let kind = attribute(attributes, LINKINFO).and_then(|info| attribute(info, INFO_KIND));
    let number = |number| attribute(attributes, number).and_then(|bytes| u32_at(bytes, 0));
    let stats = attribute(attributes, STATS64).unwrap_or_default();
    Some(Link {
        index: u32_at(message, INDEX)?,
        name: text(attribute(attributes, IFNAME)?),
        kind: kind.map(text),
        flags: u32_at(message, FLAGS)?,
        address: attribute(attributes, ADDRESS).unwrap_or_default().to_vec(),
        mtu: number(MTU).unwrap_or(0),
        peer: number(LINK),
        peer_netns: number(LINK_NETNS),
        carrier_changes: number(CARRIER_CHANGES),
        traffic: TRAFFIC
            .map(|place| stats.as_chunks().0.get(place).map_or(0, |bytes| u64::from_ne_bytes(*bytes))),
        losses: losses(stats),
        xdp: xdp(attribute(attributes, XDP).unwrap_or_default()),
    })
}

fn losses(stats: &[u8]) -> Vec<(&'static str, u64)> {
    let (fields, _) = stats.as_chunks();
    LOSSES
        .iter()
        .filter_map(|(place, name)| Some((*name, u64::from_ne_bytes(*fields.get(*place)?))))
        .collect()
}

/// `IFLA_XDP`: one program with its mode, or one of each (kernels from 4.20 name them all).
fn xdp(attributes: &[u8]) -> Vec<XdpProgram> {
    let program = |number, mode| {
        let id = attribute(attributes, number).and_then(|id| u32_at(id, 0)).filter(|id| *id != 0)?;
        Some(XdpProgram { id, mode })
    };
    let by_mode = [
        (XDP_DRV_PROG_ID, XdpMode::Native),
        (XDP_SKB_PROG_ID, XdpMode::Generic),
        (XDP_HW_PROG_ID, XdpMode::Offloaded),
    ];
    let programs: Vec<_> = by_mode.into_iter().filter_map(|(number, mode)| program(number, mode)).collect();
    if !programs.is_empty() {
        return programs;
    }
    let mode = match attribute(attributes, XDP_ATTACHED).and_then(<[u8]>::first) {
        Some(2) => XdpMode::Generic,
        Some(3) => XdpMode::Offloaded,
        _ => XdpMode::Native,
    };
    program(XDP_PROG_ID, mode).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::tests::encoded;
    use super::*;

    #[test]
    fn a_device_as_the_kernel_tells_it() {
        let mut message = vec![0; INFO];
        message[INDEX..8].copy_from_slice(&7_u32.to_ne_bytes());
        message.extend(encoded(IFNAME, b"eth0\0"));
        message.extend(encoded(LINKINFO, &encoded(INFO_KIND, b"veth\0")));
        // As many as 6.18 has: each holds its own place.
        message.extend(encoded(MTU, &1500_u32.to_ne_bytes()));
        message.extend(encoded(CARRIER_CHANGES, &3_u32.to_ne_bytes()));
        let stats: Vec<u8> = (0..25_u64).flat_map(u64::to_ne_bytes).collect();
        message.extend(encoded(STATS64, &stats));
        let programs = [
            encoded(XDP_ATTACHED, &[4]),
            encoded(XDP_DRV_PROG_ID, &[12, 0, 0, 0]),
            encoded(XDP_SKB_PROG_ID, &[13, 0, 0, 0]),
        ];
        message.extend(encoded(XDP, &programs.concat()));
        let link = link(&message).unwrap();
        assert_eq!((link.index, link.name.as_str(), link.kind.as_deref()), (7, "eth0", Some("veth")));
        assert_eq!((link.mtu, link.carrier_changes, link.traffic), (1500, Some(3), [0, 1, 2, 3]));
        assert!(!link.is_hardware() && !link.is_up() && !link.is_running());
        assert_eq!(link.losses, LOSSES.map(|(place, name)| (name, place as u64)));
        let modes: Vec<_> = link.xdp.iter().map(|program| (program.id, program.mode)).collect();
        assert_eq!(modes, [(12, XdpMode::Native), (13, XdpMode::Generic)]);
    }

    /// Kernels before 5.19 have one counter less.
    #[test]
    fn what_a_kernel_lacks_is_left_out() {
        assert!(losses(&[1; 24 * 8]).iter().all(|(name, _)| *name != "rx_otherhost_dropped"));
        assert_eq!(losses(&[1; 24 * 8]).len(), LOSSES.len() - 1);
    }

    #[rstest::rstest]
    #[case(1, XdpMode::Native)]
    #[case(2, XdpMode::Generic)]
    #[case(3, XdpMode::Offloaded)]
    fn a_single_program_has_the_mode_of_the_device(#[case] attached: u8, #[case] mode: XdpMode) {
        let attributes = [encoded(XDP_ATTACHED, &[attached]), encoded(XDP_PROG_ID, &[9, 0, 0, 0])].concat();
        assert_eq!(xdp(&attributes), [XdpProgram { id: 9, mode }]);
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = link(&bytes);
        }
    }
}
