//! IP protocol numbers (IANA; `include/uapi/linux/in.h`, `in6.h`) that both sides look at.

/// IPv6 hop-by-hop options (RFC 8200).
pub const HOP_BY_HOP: u8 = 0;
/// RFC 792.
pub const ICMP: u8 = 1;
/// RFC 9293.
pub const TCP: u8 = 6;
/// RFC 768.
pub const UDP: u8 = 17;
/// RFC 4340.
pub const DCCP: u8 = 33;
/// IPv6 routing header (RFC 8200).
pub const ROUTING: u8 = 43;
/// IPv6 fragment header (RFC 8200).
pub const FRAGMENT: u8 = 44;
/// RFC 4443.
pub const ICMPV6: u8 = 58;
/// IPv6 destination options (RFC 8200).
pub const DESTINATION_OPTIONS: u8 = 60;
/// RFC 9260.
pub const SCTP: u8 = 132;
/// RFC 3828.
pub const UDP_LITE: u8 = 136;
