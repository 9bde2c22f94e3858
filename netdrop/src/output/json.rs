//! JSON lines, schema version 1: one object a line, absent means unknown.
//!
//! Written by hand, because a million events a second leave no time for an allocation or a look at a field's name:
//! every key is a constant, with the comma in front of it.

mod owner;
mod push;
mod socket;
mod tcp;
#[cfg(test)]
mod tests;

use push::{number, string};
use tcp::{Of, Times};
#[cfg(test)]
pub(crate) use tests::validate;

use serde::Serialize;

use super::{Clock, Output, append, doctor};
use crate::doctor::Finding;
use crate::knowledge::Class;
use crate::model::tcp::TcpEvent;
use crate::model::{
    Accounts, Attribution, Device, Drop, Endpoint, Host, Netns, Packet, Protocol, Reason, Row, Site, Source,
    Summary, TcpFlags, Trap,
};
use crate::packed::{self, packed};
use crate::tcp::rtt::merged;

/// The JSON Schema (2020-12) of every line.
pub fn schema() -> &'static str {
    packed::text(packed!("netdrop-1.schema.json"))
}

/// The JSON lines format.
#[derive(Debug)]
pub struct Json {
    clock: Clock,
    host: Option<Host>,
}

impl Json {
    /// A writer of JSON lines, times in UTC.
    pub fn new() -> Self {
        Self { clock: Clock::utc(), host: None }
    }

    /// The same, whose `end` tells the machine.
    #[must_use]
    pub fn on(self, host: Host) -> Self {
        Self { host: Some(host), ..self }
    }

    /// A `summary` as one object: round-trip times and findings, elsewhere lines of their own, stand in it.
    pub fn object(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.totals("summary", summary, Times::Inside, out);
    }

    fn totals(&mut self, kind: &str, summary: &Summary, times: Times, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"v":1,"kind":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","time":""#);
        self.clock.push(summary.time, out);
        out.extend_from_slice(br#"","interval_ms":"#);
        push::decimal(out, summary.interval.as_millis());
        out.extend_from_slice(br#","rows":["#);
        let counted = summary.rows.iter().filter(|row| row.counts.packets > 0);
        for (index, row) in counted.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_row(out, row);
        }
        out.extend_from_slice(br#"],"accounts":"#);
        push_accounts(out, &summary.accounts);
        push_attribution(out, &summary.attribution);
        if let Some(summed) = &summary.tcp {
            tcp::push_summary(out, summed, kind == "end", times);
        }
        // Elsewhere they are lines of their own, too.
        if times == Times::Inside {
            push_list(out, br#","findings":"#, &summary.findings);
        }
        out.extend_from_slice(b"}\n");
    }

    /// Lines of their own, as there may be many; before the summary that they belong to.
    fn rtt(&mut self, of: Of, summary: &Summary, out: &mut Vec<u8>) {
        for row in merged(summary.tcp.iter().flat_map(|tcp| tcp.rtt.iter().cloned())) {
            tcp::push_rtt(&mut self.clock, (summary.time, summary.interval), of, &row, out);
        }
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for Json {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"v":1,"kind":"drop","time":""#);
        self.clock.push(drop.time, out);
        out.push(b'"');
        number(out, br#","weight":"#, drop.weight);
        push_reason(out, drop.reason, Some(drop.class()));
        push_site(out, drop.site);
        if let Some(source) = &drop.site.source {
            push_source(out, source);
        }
        number(out, br#","cpu":"#, drop.cpu);
        if let Some(device) = drop.device {
            push_device(out, device);
        }
        if let Some(netns) = drop.netns {
            push_netns(out, netns);
        }
        push_packet(out, drop.packet);
        socket::push_context(out, &drop.context);
        out.extend_from_slice(b"}\n");
    }

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        tcp::push_event(&mut self.clock, event, out);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.rtt(Of::Interval, summary, out);
        self.totals("summary", summary, Times::Apart, out);
    }

    fn findings(&mut self, findings: &[Finding], out: &mut Vec<u8>) {
        for finding in findings {
            out.extend_from_slice(doctor::finding_line(finding).as_bytes());
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.rtt(Of::Run, summary, out);
        self.totals("end", summary, Times::Apart, out);
        if let Some(host) = &self.host {
            out.truncate(out.len() - b"}\n".len());
            out.extend_from_slice(br#","host":"#);
            serde_json::to_writer(&mut *out, host).expect("plain data into a Vec");
            out.extend_from_slice(b"}\n");
        }
    }
}

fn push_attribution(out: &mut Vec<u8>, attribution: &Attribution) {
    let Attribution { rules, verdicts, devices, notes } = attribution;
    push_list(out, br#","rules":"#, rules);
    push_list(out, br#","verdicts":"#, verdicts);
    push_list(out, br#","devices":"#, devices);
    push_list(out, br#","notes":"#, notes);
}

/// Seldom, so that a library may write it.
fn push_list(out: &mut Vec<u8>, key: &[u8], list: &[impl Serialize]) {
    if !list.is_empty() {
        out.extend_from_slice(key);
        serde_json::to_writer(out, list).expect("plain data into a Vec");
    }
}

fn push_row(out: &mut Vec<u8>, row: &Row) {
    number(out, br#"{"count":"#, row.counts.packets);
    number(out, br#","bytes":"#, row.counts.bytes);
    if row.estimated {
        out.extend_from_slice(br#","estimated":true"#);
    }
    if row.other {
        out.extend_from_slice(br#","other":true"#);
    }
    push_names(out, row);
    out.push(b'}');
}

/// What a row counts, a comma in front of each member.
pub(super) fn push_names(out: &mut Vec<u8>, row: &Row) {
    push_reason(out, row.reason.as_deref(), row.class);
    if let Some(site) = &row.site {
        push_site(out, site);
    } else if let Some(function) = &row.function {
        string(out, br#","function":"#, function);
    }
    if let Some(device) = &row.device {
        push_device(out, device);
    }
    if let Some(netns) = &row.netns {
        push_netns(out, netns);
    }
    if let Some(protocol) = row.protocol {
        push_protocol(out, protocol);
    }
    if let Some(source) = row.source {
        push_endpoint(out, br#","source":"#, source);
    }
    if let Some(destination) = row.destination {
        // `--by dst,port` tells the port beside the address.
        let port = destination.port.or(row.port);
        push_endpoint(out, br#","destination":"#, Endpoint { port, ..destination });
    } else if let Some(port) = row.port {
        number(out, br#","destination":{"port":"#, port);
        out.push(b'}');
    }
    if let Some(owner) = &row.owner {
        number(out, br#","owner":{"pid":"#, owner.pid);
        string(out, br#","command":"#, &owner.command);
        out.push(b'}');
    }
    if let Some(workload) = &row.workload {
        owner::push_workload(out, workload);
    }
}

pub(super) fn push_accounts(out: &mut Vec<u8>, accounts: &Accounts) {
    number(out, br#"{"seen":"#, accounts.seen);
    number(out, br#","detailed":"#, accounts.detailed);
    number(out, br#","sampled_out":"#, accounts.sampled_out);
    number(out, br#","ring_full":"#, accounts.ring_full);
    number(out, br#","filtered":"#, accounts.filtered);
    number(out, br#","table_full":"#, accounts.table_full);
    number(out, br#","recursion_misses":"#, accounts.recursion_misses);
    if accounts.stackless > 0 {
        number(out, br#","stackless":"#, accounts.stackless);
    }
    out.push(b'}');
}

/// Without a reason a class that isn't known is left out, as all that isn't known.
fn push_reason(out: &mut Vec<u8>, reason: Option<&Reason>, class: Option<Class>) {
    let class = class.or_else(|| reason.map(|reason| reason.class));
    let class = class.filter(|class| reason.is_some() || *class != Class::Unknown);
    if let Some(reason) = reason {
        string(out, br#","reason":"#, &reason.name);
    }
    if let Some(class) = class {
        string(out, br#","class":"#, class.as_str());
    }
    if let Some(reason) = reason {
        string(out, br#","subsystem":"#, &reason.subsystem);
    }
}

fn push_site(out: &mut Vec<u8>, site: &Site) {
    if let Some(trap) = &site.trap {
        return push_trap(out, trap);
    }
    if let Some(function) = &site.function {
        string(out, br#","function":"#, function);
        number(out, br#","offset":"#, site.offset);
    }
    if let Some(module) = &site.module {
        string(out, br#","module":"#, module);
    }
    out.extend_from_slice(br#","address":"0x"#);
    push::hex(out, site.address);
    out.push(b'"');
}

/// Hardware has no functions and no addresses of code. It reports some thousand packets a second at most, so that a library
/// may write it.
fn push_trap(out: &mut Vec<u8>, trap: &Trap) {
    out.extend_from_slice(br#","origin":"hardware","trap":"#);
    serde_json::to_writer(out, trap).expect("plain data into a Vec");
}

/// Of drops alone: in a row, `source` is where the packets came from.
fn push_source(out: &mut Vec<u8>, source: &Source) {
    string(out, br#","source":"#, &source.line);
    push_list(out, br#","inlined":"#, &source.inlined);
}

fn push_device(out: &mut Vec<u8>, device: &Device) {
    number(out, br#","device":{"index":"#, device.index);
    if let Some(name) = &device.name {
        string(out, br#","name":"#, name);
    }
    out.push(b'}');
}

fn push_netns(out: &mut Vec<u8>, netns: &Netns) {
    number(out, br#","netns":{"inode":"#, netns.inode);
    if let Some(name) = &netns.name {
        string(out, br#","name":"#, name);
    }
    owner::push_workload(out, &netns.workload);
    out.push(b'}');
}

fn push_packet(out: &mut Vec<u8>, packet: &Packet) {
    number(out, br#","packet":{"length":"#, packet.length);
    if let Some(family) = packet.family {
        string(out, br#","family":"#, family.as_str());
    }
    push_protocol(out, packet.protocol);
    if let Some(source) = packet.source {
        push_endpoint(out, br#","source":"#, source);
    }
    if let Some(destination) = packet.destination {
        push_endpoint(out, br#","destination":"#, destination);
    }
    if let Some(ttl) = packet.ttl {
        number(out, br#","ttl":"#, ttl);
    }
    if let Some(offset) = packet.fragment_offset {
        number(out, br#","fragment_offset":"#, offset);
    }
    push_transport(out, packet);
    push_link(out, packet);
    if let Some(gso) = packet.gso {
        number(out, br#","gso":{"size":"#, gso.size);
        if gso.segments > 0 {
            number(out, br#","segments":"#, gso.segments);
        }
        out.push(b'}');
    }
    out.push(b'}');
}

fn push_transport(out: &mut Vec<u8>, packet: &Packet) {
    if packet.tcp_flags.is_some() || packet.tcp_sequence.is_some() {
        let mut opening: &[u8] = br#","tcp":{"#;
        if let Some(flags) = packet.tcp_flags {
            out.extend_from_slice(opening);
            push_flags(out, br#""flags":"#, flags);
            opening = b",";
        }
        if let Some(sequence) = packet.tcp_sequence {
            out.extend_from_slice(opening);
            number(out, br#""sequence":"#, sequence);
        }
        out.push(b'}');
    }
    if let Some((kind, code)) = packet.icmp {
        number(out, br#","icmp":{"type":"#, kind);
        number(out, br#","code":"#, code);
        out.push(b'}');
    }
    if let Some(operation) = packet.arp_operation {
        number(out, br#","arp":{"operation":"#, operation);
        out.push(b'}');
    }
}

/// `SYN|ACK` in quotes, after `key`.
fn push_flags(out: &mut Vec<u8>, key: &[u8], flags: TcpFlags) {
    out.extend_from_slice(key);
    out.push(b'"');
    for (index, name) in flags.names().enumerate() {
        if index > 0 {
            out.push(b'|');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'"');
}

fn push_link(out: &mut Vec<u8>, packet: &Packet) {
    let mut opening: &[u8] = br#","vlan":["#;
    for vlan in packet.vlans.iter().flatten() {
        number(out, opening, vlan.id);
        opening = b",";
    }
    if opening == b"," {
        out.push(b']');
    }
    let mut opening: &[u8] = br#","mac":{"#;
    for (key, mac) in
        [(&br#""source":"#[..], packet.source_mac), (br#""destination":"#, packet.destination_mac)]
    {
        if let Some(mac) = mac {
            out.extend_from_slice(opening);
            out.extend_from_slice(key);
            push::mac(out, mac);
            opening = b",";
        }
    }
    if opening == b"," {
        out.push(b'}');
    }
}

fn push_protocol(out: &mut Vec<u8>, protocol: Protocol) {
    if let Some(name) = protocol.name() {
        string(out, br#","protocol":"#, name);
    } else if protocol.is_known() {
        out.extend_from_slice(br#","protocol":""#);
        append(out, format_args!("{protocol}"));
        out.push(b'"');
    }
}

fn push_endpoint(out: &mut Vec<u8>, key: &[u8], endpoint: Endpoint) {
    out.extend_from_slice(key);
    out.extend_from_slice(br#"{"address":""#);
    push::address(out, endpoint.address);
    out.push(b'"');
    if let Some(port) = endpoint.port {
        number(out, br#","port":"#, port);
    }
    out.push(b'}');
}
