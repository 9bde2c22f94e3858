//! Names of protocols and of TCP's flags, as tcpdump and /etc/protocols write them.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use netdrop_common::protocol;

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

    /// The one of all protocols with its name that stands for them: IP's inner protocols over IPv4 and IPv6 are the same
    /// to people, and so are both `EtherType`s of MPLS and of `PPPoE`.
    #[must_use]
    pub fn as_named(self) -> Self {
        let ethertype = match (self.ip, self.ethertype) {
            (Some(_), _) => 0,
            (None, 0x8848) => 0x8847,
            (None, 0x8864) => 0x8863,
            (None, ethertype) => ethertype,
        };
        Self { ethertype, ip: self.ip }
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
        protocol::ICMP => "icmp",
        2 => "igmp",
        4 => "ipip",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::DCCP => "dccp",
        41 => "sit",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        protocol::ICMPV6 => "icmpv6",
        89 => "ospf",
        94 => "ipcomp",
        103 => "pim",
        112 => "vrrp",
        protocol::SCTP => "sctp",
        protocol::UDP_LITE => "udplite",
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

/// No protocol is written so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no protocol's name, no ip-N and no EtherType in hexadecimal")]
pub struct NoProtocol;

/// Reads what [`fmt::Display`] writes, as far as it tells: see [`Protocol::as_named`].
impl FromStr for Protocol {
    type Err = NoProtocol;

    fn from_str(text: &str) -> Result<Self, NoProtocol> {
        static NAMED: LazyLock<HashMap<&str, Protocol>> = LazyLock::new(|| {
            let ip = (0..=u8::MAX).map(|number| Protocol { ethertype: 0, ip: Some(number) });
            let link = (0..=u16::MAX).rev().map(|ethertype| Protocol { ethertype, ip: None });
            link.chain(ip).filter_map(|protocol| Some((protocol.name()?, protocol))).collect()
        });
        if let Some(protocol) = NAMED.get(text) {
            return Ok(*protocol);
        }
        if let Some(number) = text.strip_prefix("ip-") {
            return number
                .parse()
                .map(|number| Self { ethertype: 0, ip: Some(number) })
                .map_err(|_| NoProtocol);
        }
        let digits = text.strip_prefix("0x").ok_or(NoProtocol)?;
        u16::from_str_radix(digits, 16).map(|ethertype| Self { ethertype, ip: None }).map_err(|_| NoProtocol)
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

/// A flag of no known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the flags of TCP are FIN, SYN, RST, PSH, ACK, URG, ECE and CWR")]
pub struct NoFlag;

/// Reads `SYN|ACK`; nothing is no flag.
impl FromStr for TcpFlags {
    type Err = NoFlag;

    fn from_str(text: &str) -> Result<Self, NoFlag> {
        let mut flags = 0;
        for name in text.split('|').filter(|_| !text.is_empty()) {
            let bit = (0..8).find(|bit| Self(1 << bit).names().next() == Some(name)).ok_or(NoFlag)?;
            flags |= 1 << bit;
        }
        Ok(Self(flags))
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

    #[test]
    fn every_protocol_is_read_as_it_is_written() {
        let link = (1..=u16::MAX).map(|ethertype| Protocol { ethertype, ip: None });
        let ip = (0..=u8::MAX).map(|number| Protocol { ethertype: 0x0800, ip: Some(number) });
        for protocol in link.chain(ip) {
            assert_eq!(protocol.to_string().parse(), Ok(protocol.as_named()), "{protocol}");
            assert_eq!(protocol.as_named().to_string(), protocol.to_string());
        }
        for text in ["", "ip-", "ip-256", "0x", "0x10000", "UDP"] {
            assert_eq!(text.parse::<Protocol>(), Err(NoProtocol), "{text}");
        }
    }

    #[test]
    fn every_set_of_flags_is_read_as_it_is_written() {
        for bits in 0..=u8::MAX {
            assert_eq!(TcpFlags(bits).to_string().parse(), Ok(TcpFlags(bits)));
        }
        assert_eq!("SYN|".parse::<TcpFlags>(), Err(NoFlag));
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
