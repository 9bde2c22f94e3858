//! Wording that the formats for people share: sites, flows, accounts.

use std::fmt;

use crate::model::{Accounts, Device, Endpoint, Netns, Site, Trap};
use crate::units::thousands;

/// Text from outside without control characters, so that no interface's name moves the cursor of a terminal.
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split(char::is_control);
        f.write_str(parts.next().unwrap_or_default())?;
        parts.try_for_each(|part| write!(f, "\u{fffd}{part}"))
    }
}

/// `tcp_conn_request+0x1a2`, with ` [module]` for a module's, or the address; `tail_drop [hardware]`.
pub struct Place<'a>(pub &'a Site);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trap) = &self.0.trap {
            return write!(f, "{} [hardware]", TrapName(trap));
        }
        let Some(function) = &self.0.function else { return write!(f, "{:#x}", self.0.address) };
        write!(f, "{}+{:#x}", Plain(function), self.0.offset)?;
        self.0.module.as_ref().map_or(Ok(()), |module| write!(f, " [{}]", Plain(module)))
    }
}

/// The trap's name.
pub struct TrapName<'a>(pub &'a Trap);

impl fmt::Display for TrapName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Plain(if self.0.name.is_empty() { "unknown trap" } else { &self.0.name }))
    }
}

/// `10.0.0.1:4242`, `[2001:db8::1]:80`, or the address alone.
pub struct Address(pub Endpoint);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.port {
            Some(port) => write!(f, "{}", std::net::SocketAddr::new(self.0.address, port)),
            None => write!(f, "{}", self.0.address),
        }
    }
}

/// The device's name, or its index as `if3`.
pub struct DeviceName<'a>(pub &'a Device);

impl fmt::Display for DeviceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "{}", Plain(name)),
            None => write!(f, "if{}", self.0.index),
        }
    }
}

/// The container or pod that runs in the namespace, else its name, else its inode number.
pub struct NetnsName<'a>(pub &'a Netns);

impl fmt::Display for NetnsName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Netns { inode, name, workload } = self.0;
        match name {
            _ if workload.is_contained() => {
                write!(f, "{}", Plain(&workload.to_string()))
            }
            Some(name) => write!(f, "{}", Plain(name)),
            None => write!(f, "{inode}"),
        }
    }
}

/// Where the drops and their details went, in one sentence and one more for each thing that is missing from the rows.
pub fn accounts(accounts: &Accounts) -> Vec<String> {
    let Accounts { seen, detailed, sampled_out, ring_full, filtered, .. } = *accounts;
    let seen = went("drops", seen, [detailed, sampled_out, ring_full, filtered]);
    seen.into_iter().chain(missing(accounts)).collect()
}

/// Where `what` that was seen went, in one sentence: what has details, what was sampled out, what the ring buffer had no room
/// for, what the filter left out.
pub fn went(what: &str, seen: u64, counts: [u64; 4]) -> Option<String> {
    const PLACES: [&str; 4] =
        ["with details", "sampled out", "details lost (ring buffer full)", "left out by the filter"];
    let parts = counts.into_iter().zip(PLACES).filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, place)| format!("{} {place}", thousands(count))).collect();
    (seen > 0).then(|| format!("{} {what} seen: {}.", thousands(seen), parts.join(", ")))
}

/// What no row counts, one sentence each; empty when nothing is missing.
pub fn missing(accounts: &Accounts) -> Vec<String> {
    let sentences = [
        (accounts.table_full, "are seen but in no row: the kernel's counter table was full."),
        (
            accounts.recursion_misses,
            "more were not seen: the kernel's recursion guard kept them from netdrop.",
        ),
        (accounts.stackless, "have no call chain: the kernel's table of stacks had no place for it."),
    ];
    let missing = sentences.into_iter().filter(|(count, _)| *count > 0);
    missing.map(|(count, why)| format!("{} {why}", thousands(count))).collect()
}
