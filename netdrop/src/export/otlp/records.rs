//! A drop's line of JSON → a log record, by OpenTelemetry's semantic conventions.

use std::fmt::Write;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};

use super::value::{body, number, resource, scope, text};
use crate::export::Resource;
use crate::knowledge::{Class, class_of, class_of_trap};
use crate::model::{Endpoint, Packet, Source, Timestamp, Workload};
use crate::recording::{DropLine, Line, SiteName};

/// The name of the event that each record is.
const EVENT: &str = "netdrop.drop";

/// The request that sends `records`.
pub(super) fn request(from: &Resource, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(from)),
            scope_logs: vec![scope_logs],
            ..ResourceLogs::default()
        }],
    }
}

/// The record of a line; nothing where the line is no drop.
pub(super) fn record(line: &str, observed: Timestamp) -> Option<LogRecord> {
    let Ok(Line::Drop(drop)) = Line::parse(line.as_bytes()) else { return None };
    let class = class(&drop);
    let severity = severity(class);
    Some(LogRecord {
        time_unix_nano: drop.time.0,
        observed_time_unix_nano: observed.0,
        severity_number: severity.into(),
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").into(),
        body: Some(body(sentence(&drop))),
        attributes: attributes(&drop, class),
        event_name: EVENT.into(),
        ..LogRecord::default()
    })
}

/// The line says it beside a reason; where the kernel has none, the site does.
fn class(drop: &DropLine<'_>) -> Class {
    let site = drop.whence.site.as_ref();
    match (&drop.whence.reason, site.and_then(|site| site.trap.as_ref())) {
        (Some(reason), _) => reason.class,
        (None, Some(trap)) => class_of_trap(&trap.name, &trap.group),
        (None, None) => class_of(None, function(drop)),
    }
}

/// A loss that somebody should look into is a warning; what a rule or a closed port is meant to do is not.
fn severity(class: Class) -> SeverityNumber {
    match class {
        Class::Congestion | Class::Malformed | Class::Routing => SeverityNumber::Warn,
        Class::Policy | Class::NoReceiver | Class::Unknown => SeverityNumber::Info,
        Class::Lifecycle => SeverityNumber::Debug,
    }
}

/// `udp packet of 29 bytes from 127.0.0.1:48777 to 127.0.0.1:9 dropped in __udp4_lib_rcv: NO_SOCKET`
fn sentence(drop: &DropLine<'_>) -> String {
    let mut text = String::new();
    let packet = &drop.packet;
    if packet.protocol.is_known() {
        let _ = write!(text, "{} ", packet.protocol);
    }
    let _ = write!(text, "packet of {} bytes", packet.length);
    for (word, endpoint) in [("from", packet.source), ("to", packet.destination)] {
        if let Some(endpoint) = endpoint {
            let _ = write!(text, " {word} {endpoint}");
        }
    }
    text.push_str(" dropped");
    if let Some((_, Some(device))) = &drop.whence.device {
        let _ = write!(text, " on {device}");
    }
    if let Some(function) = function(drop) {
        let _ = write!(text, " in {function}");
    }
    if let Some(reason) = reason(drop) {
        let _ = write!(text, ": {reason}");
    }
    text
}

fn function<'a>(drop: &'a DropLine<'_>) -> Option<&'a str> {
    drop.whence.site.as_ref()?.function.as_deref()
}

/// The kernel's reason; of hardware the trap's name.
fn reason<'a>(drop: &'a DropLine<'_>) -> Option<&'a str> {
    let trap = || drop.whence.site.as_ref()?.trap.as_ref().map(|trap| trap.name.as_str());
    let reason = drop.whence.reason.as_ref().map(|reason| &*reason.name);
    reason.or_else(|| trap().filter(|name| !name.is_empty()))
}

fn attributes(drop: &DropLine<'_>, class: Class) -> Vec<KeyValue> {
    let whence = &drop.whence;
    let mut all = vec![text("netdrop.class", class.as_str()), number("netdrop.weight", drop.weight)];
    all.extend(reason(drop).map(|reason| text("netdrop.reason", reason)));
    all.extend(whence.reason.as_ref().map(|reason| text("netdrop.subsystem", &*reason.subsystem)));
    if let Some(site) = &whence.site {
        push_site(&mut all, site);
    }
    all.push(number("cpu.logical_number", drop.cpu));
    if let Some((_, Some(device))) = &whence.device {
        all.push(text("network.interface.name", &**device));
    }
    if let Some((inode, name)) = &whence.netns {
        all.push(text("netdrop.netns", name.as_ref().map_or_else(|| inode.to_string(), ToString::to_string)));
    }
    push_packet(&mut all, &drop.packet);
    let owner = drop.owner.as_ref();
    if let Some(process) = owner.and_then(|owner| owner.processes.first()) {
        all.push(number("process.pid", process.pid));
        all.push(text("process.command", &*process.command));
    }
    // Where the socket is at home, else what runs in the namespace.
    let of_owner = owner.map(|owner| &*owner.workload).filter(|workload| !workload.is_empty());
    push_workload(&mut all, of_owner.unwrap_or(&whence.workload));
    all
}

fn push_site(all: &mut Vec<KeyValue>, site: &SiteName<'_>) {
    let SiteName { address: _, function, offset, module, source, trap } = site;
    if let Some(function) = function {
        all.push(text("code.function.name", &**function));
        all.push(number("netdrop.function.offset", *offset));
    }
    all.extend(module.as_ref().map(|module| text("netdrop.module", &**module)));
    if let Some(Source { line, .. }) = source {
        let (file, line) = match line.rsplit_once(':') {
            Some((file, number)) => (file, number.parse::<u64>().ok()),
            None => (line.as_str(), None),
        };
        all.push(text("code.file.path", file));
        all.extend(line.map(|line| number("code.line.number", line)));
    }
    if let Some(trap) = trap {
        let members = [
            ("netdrop.trap.group", &trap.group),
            ("netdrop.trap.driver", &trap.driver),
            ("netdrop.trap.device", &trap.device),
        ];
        all.extend(
            members.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)),
        );
    }
}

fn push_packet(all: &mut Vec<KeyValue>, packet: &Packet) {
    all.push(number("netdrop.packet.length", packet.length));
    if packet.protocol.ip.is_some() {
        all.push(text("network.transport", packet.protocol.to_string()));
    }
    all.extend(packet.family.map(|family| text("network.type", family.as_str())));
    let ends = [
        ("source.address", "source.port", packet.source),
        ("destination.address", "destination.port", packet.destination),
    ];
    for (address_key, port_key, end) in ends {
        if let Some(Endpoint { address, port }) = end {
            all.push(text(address_key, address.to_string()));
            all.extend(port.map(|port| number(port_key, port)));
        }
    }
    all.extend(packet.tcp_flags.map(|flags| text("netdrop.tcp.flags", flags.to_string())));
    if let Some((kind, code)) = packet.icmp {
        all.extend([number("netdrop.icmp.type", kind), number("netdrop.icmp.code", code)]);
    }
}

fn push_workload(all: &mut Vec<KeyValue>, Workload { container, pod, unit }: &Workload) {
    if let Some(container) = container {
        all.push(text("container.id", &container.id));
        all.push(text("container.runtime.name", container.runtime.as_str()));
        all.extend(container.name.as_ref().map(|name| text("container.name", name)));
    }
    if let Some(pod) = pod {
        all.push(text("k8s.pod.uid", &pod.uid));
        if let Some((namespace, name)) = pod.name.as_ref().and_then(|name| name.split_once('/')) {
            all.extend([text("k8s.namespace.name", namespace), text("k8s.pod.name", name)]);
        }
    }
    all.extend(unit.as_ref().map(|unit| text("netdrop.systemd.unit", unit)));
}
