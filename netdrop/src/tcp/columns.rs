//! Wording that retransmits and resets share: columns, accounts, who it is.

use std::fmt;
use std::sync::Arc;

use super::by::{By, Dimension};
use super::rows::Row;
use crate::model::tcp::{TcpAccounts, TcpEvent, TcpNumbers, TcpOwner, state_name};
use crate::model::{Accounts, Endpoint, Netns};
use crate::output::Clock;
use crate::output::columns::Column;
use crate::output::words::{Address, DeviceName, NetnsName, Plain};
use crate::units::{microseconds, thousands};

/// The name of the row that sums what no other row stands for.
const OTHERS: &str = "(all others)";

/// An address and a port, or a dash.
pub(super) struct Side(pub Option<Endpoint>);

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(endpoint) => Address(endpoint).fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// `curl(4242) by connect`.
pub(super) fn owner(owner: &TcpOwner) -> Option<String> {
    let text = Plain(&owner.owner.to_string()).to_string();
    (!text.is_empty()).then(|| format!("{text} by {}", owner.by.as_str()))
}

/// A time without the space before its unit, so that a value is one word.
pub(super) fn time(us: u32) -> String {
    microseconds(us.into()).replace(' ', "")
}

/// A state, or its number.
pub(super) fn state(state: u8) -> String {
    state_name(state).map_or_else(|| state.to_string(), Into::into)
}

/// `dev eth0 netns web owner curl(4242) by connect (x12)`: the last words of a line.
pub(super) fn belonging(event: &TcpEvent) -> impl Iterator<Item = String> {
    let device = event.device.as_ref().map(|device| format!("dev {}", DeviceName(device)));
    let netns = event.netns.as_ref().map(|netns| format!("netns {}", NetnsName(netns)));
    let owner = event.owner.as_ref().and_then(owner).map(|owner| format!("owner {owner}"));
    let weight = (event.weight > 1).then(|| format!("(x{})", event.weight));
    [device, netns, owner, weight].into_iter().flatten()
}

/// Whether every event was told in detail: then the sums of rows are exact, else estimates.
pub(super) const fn is_whole(accounts: &TcpAccounts) -> bool {
    accounts.sampled_out == 0 && accounts.ring_full == 0
}

/// The same of drops.
pub(super) const fn is_whole_of_drops(accounts: &Accounts) -> bool {
    accounts.sampled_out == 0 && accounts.ring_full == 0 && accounts.recursion_misses == 0
}

/// The congestion algorithm's name; empty where it isn't known.
pub(super) fn algorithm(numbers: &TcpNumbers) -> String {
    let end = numbers.algorithm.iter().position(|byte| *byte == 0).unwrap_or(numbers.algorithm.len());
    Plain(&String::from_utf8_lossy(&numbers.algorithm[..end])).to_string()
}

/// The fields of a CSV line that all events have.
pub(super) struct Fields;

impl Fields {
    pub(super) const NAMES: [&str; 13] = [
        "time",
        "weight",
        "local_address",
        "local_port",
        "remote_address",
        "remote_port",
        "device",
        "netns",
        "netns_inode",
        "owner_command",
        "owner_pid",
        "owner_known_by",
        "workload",
    ];

    pub(super) fn of(event: &TcpEvent, clock: &mut Clock) -> [String; Self::NAMES.len()] {
        fn text(value: Option<impl fmt::Display>) -> String {
            value.map_or_else(String::new, |value| value.to_string())
        }
        let mut time = Vec::new();
        clock.push(event.time, &mut time);
        let address = |endpoint: Option<Endpoint>| text(endpoint.map(|endpoint| endpoint.address));
        let port = |endpoint: Option<Endpoint>| text(endpoint.and_then(|endpoint| endpoint.port));
        let owner = event.owner.as_ref();
        let first = owner.and_then(|owner| owner.owner.first());
        let netns = event.netns.as_deref();
        [
            String::from_utf8_lossy(&time).into_owned(),
            event.weight.to_string(),
            address(event.local),
            port(event.local),
            address(event.remote),
            port(event.remote),
            text(event.device.as_deref().and_then(|device| device.name.as_ref())),
            text(netns.and_then(|netns| netns.name.as_ref())),
            text(netns.map(|netns| netns.inode)),
            text(first.as_ref().map(|first| &first.command)),
            text(first.as_ref().map(|first| first.pid)),
            text(owner.map(|owner| owner.by.as_str())),
            text(owner.map(|owner| &owner.owner.workload)),
        ]
    }
}

/// The mark of numbers that are estimates.
pub(super) const fn about(accounts: &TcpAccounts) -> &'static str {
    if is_whole(accounts) { "" } else { "~" }
}

/// Where events and their details went; nothing is said of what is zero.
pub(super) fn accounts(accounts: &TcpAccounts) -> Vec<String> {
    let parts = [
        (accounts.detailed, "with details"),
        (accounts.sampled_out, "sampled out"),
        (accounts.ring_full, "details lost (ring buffer full)"),
        (accounts.filtered, "left out by the filter"),
    ];
    let told = parts.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, what)| format!("{} {what}", thousands(count))).collect();
    let seen = format!("{} events seen: {}.", thousands(accounts.seen), told.join(", "));
    let missed = format!(
        "{} more were not seen: the kernel's recursion guard kept them from netdrop.",
        thousands(accounts.recursion_misses)
    );
    let lines = [(accounts.seen, seen), (accounts.recursion_misses, missed)];
    lines.into_iter().filter(|(count, _)| *count > 0).map(|(_, line)| line).collect()
}

/// The columns that say what rows are of, as far as they tell it apart.
pub(super) fn identity<T, const N: usize>(by: By, rows: &[Row<T, N>]) -> Vec<Column> {
    // The first column that says what a row is of names the row of all others.
    let mut others = Some(OTHERS);
    let mut columns = Vec::new();
    let mut text = |title: &'static str, usual: usize, cell: &dyn Fn(&Row<T, N>) -> Option<String>| {
        let others = others.take();
        columns.push(Column::text(title, usual, rows, |row| {
            if row.is_others() { others.map(Into::into) } else { cell(row) }
        }));
    };
    let side = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| Address(endpoint).to_string());
    if by.has(Dimension::Flow) || by.has(Dimension::Local) {
        text("LOCAL", 19, &|row| side(row.key.local));
    }
    if by.has(Dimension::Flow) || by.has(Dimension::Remote) {
        text("REMOTE", 19, &|row| side(row.key.remote));
    }
    if by.has(Dimension::Port) && !by.has(Dimension::Flow) {
        text("LPORT", 5, &|row| row.key.local_port.map(|port| port.to_string()));
    }
    if by.has(Dimension::RemotePort) && !by.has(Dimension::Flow) {
        text("RPORT", 5, &|row| row.key.remote_port.map(|port| port.to_string()));
    }
    if by.has(Dimension::Owner) {
        text("OWNER", 15, &|row| {
            Some(row.key.owner.as_ref().map_or("-".into(), |owner| Plain(&owner.to_string()).to_string()))
        });
    }
    if by.has(Dimension::Container) {
        text("CONTAINER", 15, &|row| {
            Some(
                row.key
                    .workload
                    .as_ref()
                    .map_or("-".into(), |workload| Plain(&workload.to_string()).to_string()),
            )
        });
    }
    if by.has(Dimension::Device) {
        text("DEVICE", 8, &|row| {
            let device = row.last.as_ref()?.device.as_ref();
            Some(device.map_or("-".into(), |device| DeviceName(device).to_string()))
        });
    }
    let spaces: std::collections::BTreeSet<u32> = rows.iter().map(|row| row.key.netns).collect();
    let is_told = by.has(Dimension::Netns) || by.has(Dimension::Device);
    if is_told || by.has(Dimension::Flow) && spaces.len() > 1 {
        text("NETNS", 8, &|row| netns(row.last.as_ref()?.netns.as_ref()));
    }
    columns
}

fn netns(netns: Option<&Arc<Netns>>) -> Option<String> {
    netns.map(|netns| NetnsName(netns).to_string())
}
