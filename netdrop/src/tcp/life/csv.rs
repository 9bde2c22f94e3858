//! Connections as CSV, one a line.

use std::fmt::Display;

use super::super::csv::Csv;
use super::super::words::error_name;
use super::columns::{Ended, end};
use crate::model::tcp::{Opened, TcpNumbers, state_name};

const NAMES: [&str; 48] = [
    "time",
    "close",
    "error",
    "from_state",
    "opened",
    "known_since_birth",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "v4_mapped",
    "lasted_us",
    "established_us",
    "sent_bytes",
    "received_bytes",
    "acked_bytes",
    "retransmitted_bytes",
    "segments_out",
    "segments_in",
    "data_segments_out",
    "data_segments_in",
    "retransmits",
    "lost",
    "reordering",
    "reordering_seen",
    "srtt_us",
    "rttvar_us",
    "min_rtt_us",
    "cwnd",
    "ssthresh",
    "mss",
    "delivery_rate",
    "algorithm",
    "reset_sent",
    "reset_received",
    "fin_sent",
    "fin_received",
    "owner_command",
    "owner_pid",
    "owner_known_by",
    "workload",
    "device",
    "device_index",
    "netns",
    "netns_inode",
    "socket_cookie",
    "cpu",
    "weight",
];

/// A connection that ended a line.
pub fn csv() -> Csv {
    Csv::new(NAMES.to_vec(), |event, clock| {
        let (kind, error) = end(event)?;
        let mut time = Vec::new();
        clock.push(event.time, &mut time);
        let time = String::from_utf8_lossy(&time);
        Some(fields(&Ended { event, time: &time, kind, error, watched: None }).to_vec())
    })
}

/// The fields of [`NAMES`].
fn fields(ended: &Ended<'_>) -> [String; NAMES.len()] {
    let event = ended.event;
    let connection = &event.connection;
    let from = match event.kind {
        crate::model::tcp::TcpKind::Close { from, .. } => state_name(from),
        _ => None,
    };
    let number = |of: fn(&TcpNumbers) -> u32| text(event.numbers.as_ref().map(of));
    let payload = event.payload();
    let owner = event.owner.as_ref();
    let first = owner.and_then(|known| known.owner.first());
    let (device, netns) = (event.device.as_deref(), event.netns.as_deref());
    [
        ended.time.to_owned(),
        ended.kind.to_string(),
        text(ended.error.map(error_name)),
        text(from),
        text(connection.opened.map(Opened::as_str)),
        connection.known_since_birth.to_string(),
        text(event.local.map(|local| local.address)),
        text(event.local.and_then(|local| local.port)),
        text(event.remote.map(|remote| remote.address)),
        text(event.remote.and_then(|remote| remote.port)),
        event.v4_mapped.to_string(),
        text(event.lasted().map(|time| time.as_micros())),
        text(connection.established.map(|time| time.as_micros())),
        text(payload.map(|payload| payload.sent)),
        text(payload.map(|payload| payload.received)),
        text(payload.map(|payload| payload.acked)),
        text(event.numbers.map(|numbers| numbers.bytes_retransmitted)),
        number(|numbers| numbers.segments_out),
        number(|numbers| numbers.segments_in),
        number(|numbers| numbers.data_segments_out),
        number(|numbers| numbers.data_segments_in),
        number(|numbers| numbers.retransmits),
        number(|numbers| numbers.lost),
        number(|numbers| numbers.reordering),
        number(|numbers| numbers.reordering_seen),
        text(event.srtt().map(|time| time.as_micros())),
        text(event.srtt().and(event.numbers).map(|numbers| numbers.rttvar_us)),
        text(event.min_rtt().map(|time| time.as_micros())),
        number(|numbers| numbers.cwnd),
        text(event.ssthresh()),
        number(|numbers| numbers.mss),
        text(event.delivery_rate()),
        text(event.algorithm()),
        connection.reset_sent.to_string(),
        connection.reset_received.to_string(),
        connection.fin_sent.to_string(),
        connection.fin_received.to_string(),
        text(first.as_ref().map(|name| &name.command)),
        text(first.as_ref().map(|name| name.pid)),
        text(owner.map(|known| known.by.as_str())),
        text(owner.map(|known| &known.owner.workload)),
        text(device.and_then(|device| device.name.as_ref())),
        text(device.map(|device| device.index)),
        text(netns.and_then(|netns| netns.name.as_ref())),
        text(netns.map(|netns| netns.inode)),
        text(event.socket.and_then(|socket| socket.cookie)),
        event.cpu.to_string(),
        event.weight.to_string(),
    ]
}

fn text(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
