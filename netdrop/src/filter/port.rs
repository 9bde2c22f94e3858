//! `--port`, `--sport`, `--dport`.

use netdrop_common::PortRule;

use super::FilterError;

/// Reads `53` or `8000-8099`.
///
/// # Errors
/// When it is neither, or the range goes backwards.
pub fn parse_ports(text: &str) -> Result<PortRule, FilterError> {
    let error = || FilterError::Port(text.into());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().map_err(|_| error());
    let range = PortRule { first: port(first)?, last: port(last)? };
    if range.first <= range.last { Ok(range) } else { Err(error()) }
}
