//! `--host`, `--src`, `--dst`.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use netdrop_common::AddressRule;

use super::FilterError;

/// Bits in front of an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u8 = 96;

/// Reads `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`; bits behind the prefix are left out.
///
/// # Errors
/// When it is neither.
pub fn parse_prefix(text: &str) -> Result<AddressRule, FilterError> {
    let prefix = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| FilterError::Address(text.into()))?;
    let prefix = match prefix {
        IpNet::V4(prefix) => {
            Ipv6Net::new_assert(prefix.addr().to_ipv6_mapped(), MAPPED_BITS + prefix.prefix_len())
        }
        IpNet::V6(prefix) => prefix,
    };
    Ok(AddressRule { address: words(prefix.network()), mask: words(prefix.netmask()) })
}

/// As words in memory order, which is how the program loads them.
fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    std::array::from_fn(|word| u32::from_ne_bytes(std::array::from_fn(|byte| octets[4 * word + byte])))
}
