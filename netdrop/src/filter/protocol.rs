//! `--proto`.

use netdrop_common::ProtocolRule;

use super::FilterError;
use crate::kernel::near::closest;
use crate::model::Protocol;

/// Reads a protocol's name, an IP protocol's number, or an `EtherType` as in `0x88cc`.
///
/// # Errors
/// When it is none of these.
pub fn parse_protocol(text: &str) -> Result<ProtocolRule, FilterError> {
    let name = text.to_ascii_lowercase();
    if let Some(hex) = name.strip_prefix("0x")
        && let Ok(ethertype) = u16::from_str_radix(hex, 16)
        && ethertype != 0
    {
        return Ok(ProtocolRule { ethertype, ip_protocol: ProtocolRule::ANY });
    }
    if let Ok(number) = name.strip_prefix("ip-").unwrap_or(&name).parse::<u8>() {
        return Ok(ProtocolRule { ethertype: 0, ip_protocol: number.into() });
    }
    let name = if name == "ip" { "ipv4".to_owned() } else { name };
    let protocol = Protocol::from_name(&name).ok_or_else(|| FilterError::Protocol {
        name: text.into(),
        suggestion: closest(&name, Protocol::names()).map(str::to_owned),
    })?;
    Ok(ProtocolRule {
        ethertype: protocol.ethertype,
        ip_protocol: protocol.ip.map_or(ProtocolRule::ANY, u16::from),
    })
}
