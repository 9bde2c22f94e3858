//! Rows as CSV (RFC 4180): a header that never changes, then one row a line; what isn't known is empty.

use std::fmt::Write as _;

use super::words::{Address, TrapName};
use super::{Output, append};
use crate::model::{Drop, Endpoint, Row, Summary};

/// Columns that say what a row counts.
pub(super) const NAMES: [&str; 20] = [
    "reason",
    "class",
    "subsystem",
    "function",
    "offset",
    "module",
    "address",
    "trap",
    "device",
    "device_index",
    "netns",
    "netns_inode",
    "protocol",
    "source_address",
    "source_port",
    "destination_address",
    "destination_port",
    "owner_command",
    "owner_pid",
    "workload",
];

/// The CSV format. Nothing is written before the end.
#[derive(Debug, Default)]
pub struct Csv;

impl Output for Csv {
    fn drop(&mut self, _: &Drop<'_>, _: &mut Vec<u8>) {}

    fn summary(&mut self, _: &Summary, _: &mut Vec<u8>) {}

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        record(["count", "bytes", "estimated", "other"].into_iter().chain(NAMES), out);
        for row in &summary.rows {
            let counts = [row.counts.packets.to_string(), row.counts.bytes.to_string()];
            let marks = [row.estimated.to_string(), row.other.to_string()];
            record(counts.into_iter().chain(marks).chain(names(row)), out);
        }
    }
}

/// One line. Fields with commas, quotes, line ends or spaces at an end stand in quotes.
pub(crate) fn record(fields: impl IntoIterator<Item = impl AsRef<str>>, out: &mut Vec<u8>) {
    for (index, field) in fields.into_iter().enumerate() {
        let field = field.as_ref();
        if index > 0 {
            out.push(b',');
        }
        let is_plain = !field.contains([',', '"', '\r', '\n']) && field.trim() == field;
        if is_plain {
            out.extend_from_slice(field.as_bytes());
        } else {
            append(out, format_args!("\"{}\"", field.replace('"', "\"\"")));
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// What a row counts: the fields of [`NAMES`].
pub(super) fn names(row: &Row) -> [String; NAMES.len()] {
    let site = row.site.as_deref().filter(|site| site.trap.is_none());
    let trap = row.site.as_deref().and_then(|site| site.trap.as_ref());
    let reason = row.reason.as_deref();
    let (device, netns) = (row.device.as_deref(), row.netns.as_deref());
    let port = row.destination.and_then(|destination| destination.port).or(row.port);
    let address = |endpoint: Option<Endpoint>| {
        text(endpoint.map(|Endpoint { address, .. }| Address(Endpoint { address, port: None })))
    };
    [
        text(reason.map(|reason| &reason.name)),
        text(row.class),
        text(reason.map(|reason| &reason.subsystem)),
        text(row.function()),
        text(site.filter(|site| site.function.is_some()).map(|site| site.offset)),
        text(site.and_then(|site| site.module.as_ref())),
        text(site.map(|site| format!("{:#x}", site.address))),
        text(trap.map(TrapName)),
        text(device.and_then(|device| device.name.as_ref())),
        text(device.map(|device| device.index)),
        text(netns.and_then(|netns| netns.name.as_ref())),
        text(netns.map(|netns| netns.inode)),
        text(row.protocol),
        address(row.source),
        text(row.source.and_then(|source| source.port)),
        address(row.destination),
        text(port),
        text(row.owner.as_ref().map(|owner| &owner.command)),
        text(row.owner.as_ref().map(|owner| owner.pid)),
        text(row.workload.as_deref()),
    ]
}

fn text(value: Option<impl std::fmt::Display>) -> String {
    let mut text = String::new();
    if let Some(value) = value {
        let _ = write!(text, "{value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::super::samples::{self, written};
    use super::*;
    use crate::model::Device;

    fn csv(summary: &Summary) -> String {
        written(|out| Csv.end(summary, out)).replace("\r\n", "\n")
    }

    #[test]
    fn rows_by_everything_that_the_kernel_counts() {
        assert_snapshot!("csv", csv(&samples::end()));
    }

    #[test]
    fn rows_by_flow_and_by_owner() {
        assert_snapshot!("csv_of_details", csv(&samples::flows()) + &csv(&samples::owners()));
    }

    /// Reads a record as RFC 4180 has it.
    fn read(line: &str) -> Vec<String> {
        let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                letter => field.push(letter),
            }
        }
        fields.push(field);
        fields
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "[a-z,\"\r\n ;=é]{0,12}") {
            let device = Some(Arc::new(Device { index: 3, name: Some(name.clone()) }));
            let end = Summary { rows: vec![Row { device, ..Row::default() }], ..Summary::default() };
            let text = written(|out| Csv.end(&end, out));
            let (header, row) = text.strip_suffix("\r\n").unwrap().split_once("\r\n").unwrap();
            let (header, row) = (read(header), read(row));
            prop_assert_eq!(header.len(), row.len());
            let place = header.iter().position(|column| column == "device").unwrap();
            prop_assert_eq!(&row[place], &name);
        }
    }
}
