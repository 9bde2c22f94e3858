//! Wording that the formats for people share: sites, flows, accounts.

use std::fmt;

use crate::model::{Accounts, Device, Endpoint, Netns, Site};
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

/// `tcp_conn_request+0x1a2`, with ` [module]` for a module's, or the address.
pub struct Place<'a>(pub &'a Site);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(function) = &self.0.function else { return write!(f, "{:#x}", self.0.address) };
        write!(f, "{}+{:#x}", Plain(function), self.0.offset)?;
        self.0.module.as_ref().map_or(Ok(()), |module| write!(f, " [{}]", Plain(module)))
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

/// The namespace's name, or its inode number.
pub struct NetnsName<'a>(pub &'a Netns);

impl fmt::Display for NetnsName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "{}", Plain(name)),
            None => write!(f, "{}", self.0.inode),
        }
    }
}

/// What was lost or left out, one sentence each; empty when every drop was shown and counted.
pub fn losses(accounts: &Accounts) -> Vec<String> {
    let sentences = [
        (accounts.sampled_out, "without details: sampled out (--all shows every one)"),
        (accounts.ring_full, "without details: the ring buffer was full"),
        (accounts.filtered, "left out by the filter"),
        (accounts.table_full, "in no row: the kernel's counter table was full"),
        (accounts.recursion_misses, "unseen: the kernel's recursion guard kept them from netdrop"),
    ];
    let lost = sentences.into_iter().filter(|(count, _)| *count > 0);
    lost.map(|(count, why)| format!("{} {why}", thousands(count))).collect()
}
