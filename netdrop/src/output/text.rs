//! One line a drop, for pipes and `grep`; lines of totals start with `#`.
//!
//! ```text
//! 2026-11-22T01:43:45.123456+01:00 TCP_LISTEN_OVERFLOW tcp_conn_request+0x1a2 eth0 10.0.0.1:4242 > 10.0.0.2:80 tcp SYN len 60 netns web (x12)
//! ```
//! The time is local, RFC 3339 to the microsecond. What is not known is `-` where a column is fixed (reason, device), else left out.

use std::io::Write as _;

use super::words::{Address, DeviceName, NetnsName, Place, Plain, losses};
use super::{Clock, Output};
use crate::model::{Drop, Packet, Row, Summary};
use crate::units::{elapsed, rate, thousands};

/// Width of the reason's column: most core reasons fit.
const REASON_WIDTH: usize = 20;
/// Width of the site's column.
const SITE_WIDTH: usize = 28;

/// The text format.
#[derive(Debug)]
pub struct Text {
    clock: Clock,
}

impl Text {
    /// A writer whose times are those of `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Output for Text {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        self.clock.push(drop.time, out);
        let reason = drop.reason.map_or_else(|| "-".into(), |reason| Plain(&reason.name).to_string());
        append(out, format_args!(" {reason:REASON_WIDTH$} {:SITE_WIDTH$}", Place(drop.site).to_string()));
        match drop.device {
            Some(device) => append(out, format_args!(" {}", DeviceName(device))),
            None => out.extend_from_slice(b" -"),
        }
        packet(drop.packet, out);
        if let Some(netns) = drop.netns {
            append(out, format_args!(" netns {}", NetnsName(netns)));
        }
        if drop.weight > 1 {
            append(out, format_args!(" (x{})", drop.weight));
        }
        out.push(b'\n');
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        if summary.rows.iter().all(|row| row.counts.packets == 0) && summary.accounts.seen == 0 {
            return;
        }
        let drops: u64 = summary.rows.iter().map(|row| row.counts.packets).sum();
        let per_second = rate(drops, summary.interval);
        let time = self.clock.time_of_day(summary.time);
        let interval = elapsed(summary.interval);
        append(out, format_args!("# {time} {} drops in {interval} ({per_second})\n", thousands(drops)));
        summary.rows.iter().filter(|row| row.counts.packets > 0).for_each(|each| row(each, out));
        for loss in losses(&summary.accounts) {
            append(out, format_args!("# {loss}\n"));
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.summary(summary, out);
    }
}

fn packet(packet: &Packet, out: &mut Vec<u8>) {
    if let (Some(source), Some(destination)) = (packet.source, packet.destination) {
        append(out, format_args!(" {} > {}", Address(source), Address(destination)));
    }
    if packet.protocol.is_known() {
        append(out, format_args!(" {}", packet.protocol));
    }
    if let Some(flags) = packet.tcp_flags {
        append(out, format_args!(" {flags}"));
    }
    append(out, format_args!(" len {}", packet.length));
}

fn row(row: &Row, out: &mut Vec<u8>) {
    append(out, format_args!("# {:>12}", thousands(row.counts.packets)));
    if let Some(reason) = &row.reason {
        append(out, format_args!(" {:REASON_WIDTH$}", Plain(&reason.name).to_string()));
    }
    if let Some(site) = &row.site {
        append(out, format_args!(" {:SITE_WIDTH$}", Place(site).to_string()));
    }
    if let Some(device) = &row.device {
        append(out, format_args!(" {}", DeviceName(device)));
    }
    out.push(b'\n');
}

/// Appends formatted text.
fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}
