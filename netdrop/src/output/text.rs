//! One line a drop, for pipes and `grep`; lines of totals start with `#`.
//!
//! ```text
//! 2026-11-22T01:43:45.123456+01:00 TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2 eth0 10.0.0.1:4242 > 10.0.0.2:80 tcp SYN len 60 netns web (x12)
//! ```
//! The time is local, RFC 3339 to the microsecond. An unknown reason or device is `-`; what else is not known is left out.
//! `(x12)` says that the line stands for twelve drops.

use super::columns::{Column, about, identity, lines};
use super::words::{Address, DeviceName, NetnsName, Place, Plain, missing};
use super::{Clock, Output, append, color, report};
use crate::model::tcp::TcpEvent;
use crate::model::{Context, Drop, Packet, Row, Summary};
use crate::tcp::digest;
use crate::units::{elapsed, rate, thousands};

/// Width of the reason's column: most core reasons fit.
const REASON_WIDTH: usize = 20;
/// Width of the site's column.
const SITE_WIDTH: usize = 28;
/// Lines in a pipe have no end; enough for every column whole.
const ANY_WIDTH: usize = 1000;

/// The text format.
#[derive(Debug)]
pub struct Text {
    clock: Clock,
    color: bool,
}

impl Text {
    /// A writer whose times are those of `clock`, with the reason coloured by its class if asked for.
    pub fn new(clock: Clock, color: bool) -> Self {
        Self { clock, color }
    }
}

impl Output for Text {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        self.clock.push(drop.time, out);
        out.push(b' ');
        let paint = Some(color::of(drop.class())).filter(|code| self.color && !code.is_empty());
        out.extend_from_slice(paint.unwrap_or_default().as_bytes());
        padded(out, REASON_WIDTH, format_args!("{}", Plain(drop.reason.map_or("-", |reason| &reason.name))));
        out.extend_from_slice(paint.map_or("", |_| color::RESET).as_bytes());
        out.push(b' ');
        padded(out, SITE_WIDTH, format_args!("{}", Place(drop.site)));
        match drop.device {
            Some(device) => append(out, format_args!(" {}", DeviceName(device))),
            None => out.extend_from_slice(b" -"),
        }
        packet(drop.packet, out);
        if let Some(netns) = drop.netns {
            append(out, format_args!(" netns {}", NetnsName(netns)));
        }
        if let Some(source) = &drop.site.source {
            append(out, format_args!(" at {}", Plain(&source.line)));
        }
        context(&drop.context, out);
        if drop.weight > 1 {
            append(out, format_args!(" (x{})", drop.weight));
        }
        out.push(b'\n');
        for frame in drop.context.stack {
            append(out, format_args!("\t{}\n", Plain(frame)));
        }
    }

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        if let Some(line) = digest::line(event, self.color) {
            self.clock.push(event.time, out);
            append(out, format_args!(" {line}\n"));
        }
    }

    /// Nothing for an interval without drops.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.drops(summary, out);
        if let Some(line) = summary.tcp.as_deref().and_then(digest::interval) {
            let time = self.clock.time_of_day(summary.time);
            append(out, format_args!("# {time}: {line}\n"));
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        remarks(report::lines(summary, ANY_WIDTH, self.color, false), out);
    }
}

impl Text {
    fn drops(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let drops = summary.accounts.passed();
        let missing = missing(&summary.accounts);
        if drops == 0 && missing.is_empty() {
            return;
        }
        let (time, interval) = (self.clock.time_of_day(summary.time), elapsed(summary.interval));
        let per_second = rate(drops, summary.interval);
        append(out, format_args!("# {time}: {} drops in {interval}, {per_second}", thousands(drops)));
        if summary.accounts.ring_full > 0 {
            let lost = thousands(summary.accounts.ring_full);
            append(out, format_args!(", {lost} details lost (ring buffer full)"));
        }
        out.push(b'\n');
        let rows: Vec<Row> = summary.rows.iter().filter(|row| row.counts.packets > 0).cloned().collect();
        let mut columns =
            vec![Column::number("DROPS", &rows, |row| about(row) + &thousands(row.counts.packets))];
        columns.extend(identity(&rows, |row| row.counts));
        if !rows.is_empty() {
            remarks(lines(&rows, columns, ANY_WIDTH, self.color), out);
        }
        remarks(missing, out);
    }
}

/// Addresses, protocol, flags, length; begins with a space.
pub(crate) fn packet(packet: &Packet, out: &mut Vec<u8>) {
    if let (Some(source), Some(destination)) = (packet.source, packet.destination) {
        append(out, format_args!(" {} > {}", Address(source), Address(destination)));
    }
    if packet.protocol.is_known() {
        append(out, format_args!(" {}", packet.protocol));
    }
    if let Some(flags) = packet.tcp_flags.filter(|flags| flags.0 != 0) {
        append(out, format_args!(" {flags}"));
    }
    if let Some((kind, code)) = packet.icmp {
        append(out, format_args!(" type {kind} code {code}"));
    }
    for vlan in packet.vlans.iter().flatten() {
        append(out, format_args!(" vlan {}", vlan.id));
    }
    append(out, format_args!(" len {}", packet.length));
}

/// Where netfilter decided, the socket with the queues that hold something, its owner, and what ran.
pub(crate) fn context(context: &Context<'_>, out: &mut Vec<u8>) {
    if let Some(verdict) = context.verdict.filter(|verdict| !verdict.is_unknown()) {
        append(out, format_args!(" verdict {verdict}"));
    }
    if let Some(socket) = context.socket {
        out.extend_from_slice(b" socket");
        if let Some(state) = socket.state_name() {
            append(out, format_args!(" {state}"));
        }
        if let Some(local) = socket.local {
            append(out, format_args!(" {local}"));
        }
        if let Some(queues) = &socket.queues {
            queued("receive", queues.receive, queues.receive_limit, out);
            queued("send", queues.send, queues.send_limit, out);
            if let Some((waiting, limit)) = queues.accept {
                append(out, format_args!(" accept {waiting}/{limit}"));
            }
        }
    }
    if let Some(owner) = context.owner {
        append(out, format_args!(" owner {}", Plain(&owner.to_string())));
    }
    if let Some(task) = context.cpu_task {
        append(out, format_args!(" cpu-task {}({})", Plain(&task.name()), task.pid));
    }
}

fn queued(queue: &str, bytes: u32, limit: u32, out: &mut Vec<u8>) {
    if bytes > 0 {
        append(out, format_args!(" {queue} {bytes}/{limit}"));
    }
}

/// Appends lines that `grep -v '^#'` takes away.
fn remarks(lines: Vec<String>, out: &mut Vec<u8>) {
    for line in lines {
        append(out, format_args!("{}\n", format!("# {line}").trim_end()));
    }
}

/// Appends formatted text and spaces up to `width`; names are ASCII, so that bytes are columns.
fn padded(out: &mut Vec<u8>, width: usize, text: std::fmt::Arguments<'_>) {
    let end = out.len() + width;
    append(out, text);
    out.resize(out.len().max(end), b' ');
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::samples::{self, written};
    use super::*;

    fn an_hour_east() -> Clock {
        Clock::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)), 6)
    }

    #[test]
    fn a_line_a_drop() {
        let mut text = Text::new(an_hour_east(), false);
        let mut nasty = samples::udp();
        nasty.device = Some(samples::device(4, "e\x1b[2Jth"));
        let lines = written(|out| {
            text.drop(&samples::udp().drop(1), out);
            text.drop(&samples::full().drop(12), out);
            text.drop(&samples::bare().drop(1), out);
            text.drop(&nasty.drop(1), out);
            text.drop(&samples::trapped().drop(1), out);
        });
        assert_snapshot!(lines, @r"
        2026-11-22T01:43:45.123456+01:00 NO_SOCKET            __udp4_lib_rcv+0x4bc         lo 127.0.0.1:48777 > 127.0.0.1:9 udp len 29 netns host
        2026-11-22T01:43:45.123456+01:00 TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2 [ipv6] eth0.7 [2001:db8::1]:4242 > [2001:db8::2]:80 tcp SYN|ACK type 3 code 4 vlan 7 vlan 4095 len 2960 netns web at net/ipv6/tcp_ipv6.c:1180 (x12)
        2026-11-22T01:43:45.123456+01:00 -                    0xffffffff8193bb1c           - len 60
        2026-11-22T01:43:45.123456+01:00 NO_SOCKET            __udp4_lib_rcv+0x4bc         e�[2Jth 127.0.0.1:48777 > 127.0.0.1:9 udp len 29 netns host
        2026-11-22T01:43:45.123456+01:00 -                    blackhole_route [hardware]   swp7 127.0.0.1:48777 > 127.0.0.1:9 udp len 29 netns host
        ");
    }

    #[test]
    fn the_reason_is_coloured_by_its_class() {
        let mut text = Text::new(an_hour_east(), true);
        let line = written(|out| text.drop(&samples::full().drop(1), out));
        assert!(line.contains(" \x1b[31mTCP_LISTEN_OVERFLOW \x1b[0m tcp_conn_request+0x1a2 "), "{line:?}");
    }

    #[test]
    fn a_summary_is_remarks() {
        let mut text = Text::new(an_hour_east(), false);
        assert_snapshot!(written(|out| text.summary(&samples::summary(), out)), @r"
        # 01:43:45: 489,424 drops in 1 s, 489 k/s, 412 details lost (ring buffer full)
        #   DROPS  REASON               FUNCTION                DEVICE  NETNS  PROTO  CLASS          BYTES  EXAMPLE
        # 489,412  NO_SOCKET            __udp4_lib_rcv+0x4bc    lo      host   udp    no-receiver  14.2 MB  127.0.0.1:48777 > 127.0.0.1:9
        #      12  TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2  eth0    web    tcp    congestion     720 B  [2001:db8::1]:4242 > [2001:db8::2]:80
        ");
        assert_eq!(written(|out| text.summary(&Summary::default(), out)), "");
        let accounts = crate::model::Accounts { seen: 5, detailed: 5, table_full: 5, ..Default::default() };
        let no_rows = Summary { rows: Vec::new(), accounts, ..samples::summary() };
        assert_snapshot!(written(|out| text.summary(&no_rows, out)), @r"
        # 01:43:45: 5 drops in 1 s, 5/s
        # 5 are seen but in no row: the kernel's counter table was full.
        ");
    }

    #[test]
    fn owners_and_containers_are_columns() {
        let mut text = Text::new(an_hour_east(), false);
        let summary = written(|out| text.summary(&samples::owners(), out));
        let rows: Vec<&str> = summary.lines().skip(1).collect();
        assert_snapshot!(rows.join("\n"), @r"
        # DROPS  OWNER         CONTAINER    BYTES
        #   ~12  nginx(4242)   podman:web  ~720 B
        #    ~3  (all others)              ~180 B
        ");
        let mut parts = samples::bare();
        parts.netns = Some(samples::inhabited());
        let line = written(|out| text.drop(&parts.drop(1), out));
        assert!(line.ends_with(" netns podman:web\n"), "{line}");
    }

    #[test]
    fn the_end_is_remarks() {
        let mut text = Text::new(an_hour_east(), false);
        assert_snapshot!(written(|out| text.end(&samples::end(), out)), @r"
        # 4,894,461 drops in 12 s, 408 k/s on average.
        #
        #     DROPS   SHARE            REASON               FUNCTION                                 DEVICE        NETNS  PROTO  CLASS          BYTES  EXAMPLE
        # 4,894,120  >99.9%  ███████▉  NO_SOCKET            __udp4_lib_rcv+0x4bc                     lo            host   udp    no-receiver   142 MB  127.0.0.1:48777 > 127.0.0.1:9
        #       340   <0.1%  ▏         TCP_LISTEN_OVERFLOW  tcp_conn_request+0x1a2                   eth0          web    tcp    congestion   20.4 kB  [2001:db8::1]:4242 > [2001:db8::2]:80
        #         1   <0.1%  ▏         NETFILTER_DROP       nft_do_chain_inet_with_a_long_name+0x1f  vethf00dcafe  host   icmp   policy          84 B
        # NO_SOCKET: No socket waits at the packet's destination: nobody listens at that port, or the connection is gone.
        #
        # 4,894,461 drops seen: 12,012 with details, 4,882,037 sampled out, 412 details lost (ring buffer full).
        # 3 more were not seen: the kernel's recursion guard kept them from netdrop.
        ");
        assert_snapshot!(written(|out| text.end(&Summary::default(), out)), @"# No drops in 0 s.");
    }

    #[test]
    fn a_drop_with_its_socket_owner_and_call_chain() {
        let (socket, owner) = (samples::socket(), samples::owner());
        let stack = ["udp_queue_rcv_one_skb+0x437".to_owned(), "ip_rcv+0x1".to_owned()];
        let context = Context {
            socket: Some(&socket),
            owner: Some(&owner),
            stack: &stack,
            verdict: Some(samples::verdict()),
            ..Context::default()
        };
        let udp = samples::udp();
        let drop = Drop { context, ..udp.drop(1) };
        let lines = written(|out| Text::new(an_hour_east(), false).drop(&drop, out));
        assert_snapshot!(lines);
    }
}
