//! What a row is of, in words.

use super::{By, Dimension, word};
use crate::model::tcp::{RttRow, RttWhat};
use crate::output::columns::Column;
use crate::output::words::{DeviceName, NetnsName, Plain};

/// What stands for what isn't known.
const UNKNOWN: &str = "-";
/// The row of what found no room.
const OTHERS: &str = "(all others)";

impl Dimension {
    /// The column's title and the width that most names have.
    const fn title(self) -> (&'static str, usize) {
        match self {
            Self::Remote => ("REMOTE", 15),
            Self::Local => ("LOCAL", 15),
            Self::Port => ("PORT", 6),
            Self::RemotePort => ("REMOTE PORT", 6),
            Self::Device => ("DEVICE", 8),
            Self::Route => ("ROUTE", 15),
            Self::Owner => ("OWNER", 15),
            Self::Netns => ("NETNS", 8),
            Self::Container => ("CONTAINER", 15),
        }
    }

    /// As lines and CSV call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Local => "local",
            Self::Port => "port",
            Self::RemotePort => "remote-port",
            Self::Device => "device",
            Self::Route => "route",
            Self::Owner => "owner",
            Self::Netns => "netns",
            Self::Container => "container",
        }
    }

    /// The row's value; absent where it isn't known.
    pub(super) fn of(self, row: &RttRow) -> Option<String> {
        let device = row.device.as_ref().map(|device| DeviceName(device).to_string());
        match self {
            Self::Remote => row.remote.map(|remote| remote.address.to_string()),
            Self::Local => row.local.map(|local| local.address.to_string()),
            Self::Port => row.local_port.or_else(|| row.local?.port).map(|port| port.to_string()),
            Self::RemotePort => row.remote_port.or_else(|| row.remote?.port).map(|port| port.to_string()),
            Self::Device => device,
            // As ip-route(8) has it: without a gateway the destination is on the link itself.
            Self::Route => match (row.gateway, device) {
                (Some(gateway), Some(device)) => Some(format!("via {gateway} dev {device}")),
                (Some(gateway), None) => Some(format!("via {gateway}")),
                (None, device) => device.map(|device| format!("dev {device}")),
            },
            Self::Owner => row
                .owner
                .as_ref()
                .and_then(|owner| owner.first())
                .map(|owner| Plain(&owner.to_string()).to_string()),
            Self::Netns => row.netns.as_ref().map(|netns| NetnsName(netns).to_string()),
            Self::Container => {
                let workload = row.owner.as_ref().map(|owner| owner.workload.to_string());
                workload.filter(|workload| !workload.is_empty()).map(|workload| Plain(&workload).to_string())
            }
        }
    }
}

/// What tells these rows apart: what was asked for, and for devices their namespaces where there are several.
fn dimensions(by: By, rows: &[RttRow]) -> Vec<Dimension> {
    let mut namespaces: Vec<_> = rows.iter().filter_map(|row| Some(row.netns.as_ref()?.inode)).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let in_namespaces = by.has(Dimension::Device) && !by.has(Dimension::Netns) && namespaces.len() > 1;
    by.iter().chain(in_namespaces.then_some(Dimension::Netns)).collect()
}

/// The columns that say what rows are of.
pub fn columns(by: By, rows: &[RttRow]) -> Vec<Column> {
    let both = rows.windows(2).any(|pair| pair[0].what != pair[1].what);
    let mut columns = Vec::new();
    if both || by.is_empty() {
        columns.push(Column::text("RTT", 6, rows, |row| Some(word(row.what).into())));
    }
    for (index, dimension) in dimensions(by, rows).into_iter().enumerate() {
        let (title, usual) = dimension.title();
        columns.push(Column::text(title, usual, rows, |row| {
            if row.others {
                return Some(if index == 0 { OTHERS.into() } else { String::new() });
            }
            Some(dimension.of(row).unwrap_or_else(|| UNKNOWN.into()))
        }));
    }
    columns
}

/// `sample of remote 10.0.0.2, port 80`.
pub fn sentence(by: By, row: &RttRow) -> String {
    let what = word(row.what);
    if row.others {
        return format!("{what} of all others");
    }
    let value = |dimension: Dimension| dimension.of(row).unwrap_or_else(|| "unknown".into());
    let parts: Vec<String> =
        by.iter().map(|dimension| format!("{} {}", dimension.name(), value(dimension))).collect();
    if parts.is_empty() { what.into() } else { format!("{what} of {}", parts.join(", ")) }
}

/// `sample remote=10.0.0.2 owner="Web Content(12)"`: what `grep` and `cut` find.
pub fn words(by: By, rows: &[RttRow], row: &RttRow) -> String {
    let mut words = vec![word(row.what).to_owned()];
    if row.others {
        words.push("others".into());
        return words.join(" ");
    }
    for dimension in dimensions(by, rows) {
        let value = dimension.of(row).unwrap_or_else(|| UNKNOWN.into());
        let quoted = value.contains([' ', '"', '=']);
        let value = if quoted { format!("\"{}\"", value.replace('"', "'")) } else { value };
        words.push(format!("{}={value}", dimension.name()));
    }
    words.join(" ")
}

/// Smoothed or of each acknowledgement, for people.
pub const fn meaning(what: RttWhat) -> &'static str {
    match what {
        RttWhat::Sample => "sample: what each acknowledgement of new data told",
        RttWhat::Smoothed => "srtt: the smoothed time, as it was at each acknowledgement of new data",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::ValueEnum as _;

    use super::super::samples::{owned, slow};
    use super::*;
    use crate::model::{Device, Endpoint, Netns};

    fn row() -> RttRow {
        let endpoint = |address: &str, port| Some(Endpoint { address: address.parse().unwrap(), port });
        RttRow {
            local: endpoint("10.0.0.1", None),
            local_port: Some(45_678),
            remote: endpoint("2001:db8::2", Some(443)),
            gateway: Some("fe80::1".parse().unwrap()),
            device: Some(Arc::new(Device { index: 2, name: Some("eth0".into()) })),
            netns: Some(Arc::new(Netns { inode: 7, name: Some("web".into()), ..Netns::default() })),
            ..owned(42, "curl", slow())
        }
    }

    #[test]
    fn each_has_its_words() {
        let all: By = Dimension::value_variants().iter().copied().collect();
        assert_eq!(
            words(all, &[row()], &row()),
            "sample remote=2001:db8::2 local=10.0.0.1 port=45678 remote-port=443 device=eth0 \
             route=\"via fe80::1 dev eth0\" owner=curl(42) netns=web container=-"
        );
        let on_link = RttRow { gateway: None, ..row() };
        assert_eq!(Dimension::Route.of(&on_link).unwrap(), "dev eth0");
    }

    #[test]
    fn devices_of_several_namespaces_have_them_beside() {
        let by: By = [Dimension::Device].into_iter().collect();
        let elsewhere = RttRow { netns: Some(Arc::new(Netns { inode: 8, ..Netns::default() })), ..row() };
        assert_eq!(words(by, &[row()], &row()), "sample device=eth0");
        assert_eq!(words(by, &[row(), elsewhere.clone()], &elsewhere), "sample device=eth0 netns=8");
    }
}
