//! Names of protocols and of TCP's flags, as tcpdump and /etc/protocols write them.

use std::fmt;

use super::{Family, Protocol, TcpFlags};

/// `EtherType` of IPv4 (IEEE 802 numbers).
const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
const IPV6: u16 = 0x86dd;
/// `EtherType` of ARP.
const ARP: u16 = 0x0806;

impl Protocol {
    /// The protocol's name: IP's inner protocol where it is known, else the link layer's; absent where none is assigned here.
    pub fn name(self) -> Option<&'static str> {
        match self.ip {
            Some(number) => ip_name(number),
            None => ether_name(self.ethertype),
        }
    }

    /// The family of its network header, by the `EtherType`.
    pub fn family(self) -> Option<Family> {
        match self.ethertype {
            IPV4 => Some(Family::Ipv4),
            IPV6 => Some(Family::Ipv6),
            ARP => Some(Family::Arp),
            _ => None,
        }
    }

    /// The protocol that is called so, in lower case; a link layer's has no IP protocol, IP's inner ones no `EtherType`.
    pub fn from_name(name: &str) -> Option<Self> {
        let ip = (0..=u8::MAX).find(|number| ip_name(*number) == Some(name));
        let ethertype = (0..=u16::MAX).find(|number| ether_name(*number) == Some(name));
        match (ip, ethertype) {
            (None, None) => None,
            (ip, ethertype) => Some(Self { ethertype: ethertype.unwrap_or(0), ip }),
        }
    }

    /// All names that [`Protocol::from_name`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        (0..=u8::MAX).filter_map(ip_name).chain((0..=u16::MAX).filter_map(ether_name))
    }

    /// Whether anything at all is known of it.
    pub fn is_known(self) -> bool {
        self.ip.is_some() || self.ethertype != 0
    }
}

/// IANA's assigned internet protocol numbers, those that are met.
fn ip_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        41 => "sit",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        89 => "ospf",
        94 => "ipcomp",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        136 => "udplite",
        _ => return None,
    })
}

/// IEEE 802 numbers, as in `include/uapi/linux/if_ether.h`.
fn ether_name(ethertype: u16) -> Option<&'static str> {
    Some(match ethertype {
        0x0004 => "llc",
        IPV4 => "ipv4",
        ARP => "arp",
        0x8100 => "vlan",
        IPV6 => "ipv6",
        0x8847 | 0x8848 => "mpls",
        0x8863 | 0x8864 => "pppoe",
        0x888e => "eapol",
        0x88a8 => "qinq",
        0x88cc => "lldp",
        0x88e5 => "macsec",
        0x88f7 => "ptp",
        _ => return None,
    })
}

/// `udp`, `arp`; `ip-253` and `0x88b5` where there is no name; empty when nothing is known.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.ip) {
            (Some(name), _) => f.pad(name),
            (None, Some(number)) => f.pad(&format!("ip-{number}")),
            (None, None) if self.ethertype != 0 => f.pad(&format!("{:#06x}", self.ethertype)),
            (None, None) => f.pad(""),
        }
    }
}

impl Family {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Arp => "arp",
        }
    }
}

impl TcpFlags {
    /// The names of the flags that are set, the lowest bit first (RFC 9293, section 3.1).
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }
}

/// `SYN|ACK`; empty when none is set.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(0x0800, Some(17), "udp")]
    #[case(0x86dd, Some(58), "icmpv6")]
    #[case(0x0800, Some(253), "ip-253")]
    #[case(0x0800, None, "ipv4")]
    #[case(0x0806, None, "arp")]
    #[case(0x88b5, None, "0x88b5")]
    #[case(0, None, "")]
    fn a_protocol_has_its_inmost_name(#[case] ethertype: u16, #[case] ip: Option<u8>, #[case] name: &str) {
        assert_eq!(Protocol { ethertype, ip }.to_string(), name);
    }

    #[rstest::rstest]
    #[case(0x00, "")]
    #[case(0x02, "SYN")]
    #[case(0x12, "SYN|ACK")]
    #[case(0xff, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR")]
    fn tcp_flags_are_joined_by_bars(#[case] bits: u8, #[case] text: &str) {
        assert_eq!(TcpFlags(bits).to_string(), text);
    }
}
