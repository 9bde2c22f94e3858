//! One line of a recording, in the model's terms. Names stay borrowed from the line.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::LineError;
use super::object::{self, Object, Text};
use super::tcp::{self, RttLine};
use crate::knowledge::Class;
use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::model::{
    Accounts, Attribution, Container, Counts, Endpoint, Explanation, Family, Gso, Holding, Host, Owner,
    Packet, Pod, Process, Protocol, Runtime, Source, TcpFlags, Timestamp, Trap, Vlan, Workload,
};

/// The version of the schema that is read here.
const VERSION: u64 = 1;

/// A line.
#[derive(Debug)]
pub enum Line<'a> {
    /// One drop with its details.
    Drop(Box<DropLine<'a>>),
    /// The counts of an interval.
    Summary(Totals<'a>),
    /// The counts of the whole run.
    End(Totals<'a>),
    /// Round-trip times of TCP's.
    Rtt(Box<RttLine>),
    /// What TCP sent again, or a reset.
    Tcp(Box<TcpEvent>),
    /// What the doctor found that explains the run's drops.
    Finding(Box<Explanation>),
    /// Of a kind that tells of something else.
    Other,
}

/// A drop with its details.
#[derive(Debug)]
pub struct DropLine<'a> {
    /// When.
    pub time: Timestamp,
    /// How many drops it stands for.
    pub weight: u64,
    /// The CPU it happened on.
    pub cpu: u32,
    /// Where and why.
    pub whence: Whence<'a>,
    /// What is known of the packet.
    pub packet: Packet,
    /// Who has its socket: the first process, and where it runs.
    pub owner: Option<Owner>,
    /// The kernel's call chain from the site on; empty where it wasn't asked for.
    pub stack: Vec<String>,
}

/// Rows and accounts.
#[derive(Debug)]
pub struct Totals<'a> {
    /// When they were taken.
    pub time: Timestamp,
    /// The time that they cover.
    pub interval: Duration,
    /// The rows.
    pub rows: Vec<RowLine<'a>>,
    /// The accounts.
    pub accounts: Accounts,
    /// What other counters say; empty but in an `end`.
    pub attribution: Attribution,
    /// The machine, where an `end` tells it.
    pub host: Option<Host>,
    /// TCP's own events, where they were asked for.
    pub tcp: Option<TcpSummary>,
}

/// A row.
#[derive(Debug)]
pub struct RowLine<'a> {
    /// Drops and bytes.
    pub counts: Counts,
    /// Whether they come from sampled details.
    pub estimated: bool,
    /// Whether it sums what no other row stands for.
    pub other: bool,
    /// Where and why.
    pub whence: Whence<'a>,
    /// Which protocol.
    pub protocol: Option<Protocol>,
    /// Source.
    pub source: Option<Endpoint>,
    /// Destination.
    pub destination: Option<Endpoint>,
    /// The destination port where the address isn't told apart.
    pub port: Option<u16>,
}

/// Where a drop happened, and why.
#[derive(Debug, Default)]
pub struct Whence<'a> {
    /// Why.
    pub reason: Option<ReasonName<'a>>,
    /// The kind of loss.
    pub class: Option<Class>,
    /// The place in the kernel's code.
    pub site: Option<SiteName<'a>>,
    /// Index and name of the device.
    pub device: Option<(u32, Option<Cow<'a, str>>)>,
    /// Inode number and name of the network namespace.
    pub netns: Option<(u32, Option<Cow<'a, str>>)>,
    /// What runs in that.
    pub workload: Workload,
}

/// A reason's names.
#[derive(Debug)]
pub struct ReasonName<'a> {
    /// Its own.
    pub name: Cow<'a, str>,
    /// Its class.
    pub class: Class,
    /// Whose it is.
    pub subsystem: Cow<'a, str>,
}

/// A place in the kernel's code.
#[derive(Debug)]
pub struct SiteName<'a> {
    /// Its address; absent in rows by function.
    pub address: Option<u64>,
    /// The function.
    pub function: Option<Cow<'a, str>>,
    /// Bytes from the function's start.
    pub offset: u64,
    /// The module.
    pub module: Option<Cow<'a, str>>,
    /// The source line.
    pub source: Option<Source>,
    /// The trap, where it was hardware that dropped.
    pub trap: Option<Trap>,
}

impl<'a> Line<'a> {
    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// When it isn't one of the schema's, or of a newer one.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        let object: Object<'a> = match serde_json::from_slice(line) {
            Ok(object) => object,
            // It has members of the same names, and others in them.
            Err(error) => return finding(line).ok_or_else(|| newer(line).unwrap_or(error.into())),
        };
        match object.v.ok_or(LineError::Missing("v"))? {
            VERSION => {}
            other => return Err(LineError::Version(other)),
        }
        let kind = object.kind.as_ref().ok_or(LineError::Missing("kind"))?;
        match &*kind.0 {
            "drop" => Ok(Self::Drop(Box::new(drop_line(object)?))),
            "summary" => Ok(Self::Summary(totals(object)?)),
            "end" => Ok(Self::End(totals(object)?)),
            "tcp.rtt" => Ok(Self::Rtt(Box::new(tcp::rtt(line)?))),
            "tcp.retransmit" | "tcp.reset" => {
                let event = tcp::event(time(object.time.as_ref())?, line)?;
                Ok(event.map_or(Self::Other, |event| Self::Tcp(Box::new(event))))
            }
            "doctor.finding" => Ok(finding(line).unwrap_or(Self::Other)),
            _ => Ok(Self::Other),
        }
    }
}

/// One of the doctor's.
fn finding(line: &[u8]) -> Option<Line<'static>> {
    #[derive(serde::Deserialize)]
    struct Finding {
        v: u64,
        kind: String,
        netns: Option<String>,
        #[serde(flatten)]
        explanation: Explanation,
    }
    let Finding { v, kind, netns, mut explanation } = serde_json::from_slice(line).ok()?;
    if let Some(netns) = netns {
        explanation.subject = format!("{} in {netns}", explanation.subject);
    }
    (v == VERSION && kind == "doctor.finding").then(|| Line::Finding(Box::new(explanation)))
}

/// What a newer schema means can't be read here: then that is what is to be said.
fn newer(line: &[u8]) -> Option<LineError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u64,
    }
    let Versioned { v } = serde_json::from_slice(line).ok()?;
    (v != VERSION).then_some(LineError::Version(v))
}

fn drop_line(mut object: Object<'_>) -> Result<DropLine<'_>, LineError> {
    let owner = object.socket.take().and_then(|socket| socket.owner);
    let stack = object.stack.take().into_iter().flatten();
    Ok(DropLine {
        stack: stack.map(|frame| frame.0.into_owned()).collect(),
        owner: owner.map(self::owner).transpose()?,
        time: time(object.time.as_ref())?,
        weight: object.weight.ok_or(LineError::Missing("weight"))?,
        cpu: object.cpu.ok_or(LineError::Missing("cpu"))?,
        packet: packet(object.packet.as_ref().ok_or(LineError::Missing("packet"))?)?,
        whence: whence(object)?,
    })
}

fn totals(object: Object<'_>) -> Result<Totals<'_>, LineError> {
    let rows = object.rows.ok_or(LineError::Missing("rows"))?;
    Ok(Totals {
        time: time(object.time.as_ref())?,
        interval: Duration::from_millis(object.interval_ms.ok_or(LineError::Missing("interval_ms"))?),
        rows: rows.into_iter().map(row).collect::<Result<_, _>>()?,
        accounts: object.accounts.ok_or(LineError::Missing("accounts"))?,
        attribution: Attribution {
            rules: object.rules,
            verdicts: object.verdicts,
            devices: object.devices,
            notes: object.notes,
        },
        host: object.host,
        tcp: object.tcp.map(|tcp| tcp.read()).transpose()?.flatten(),
    })
}

fn row(object: Object<'_>) -> Result<RowLine<'_>, LineError> {
    let port = object.destination.as_ref().filter(|to| to.address.is_none()).and_then(|to| to.port);
    Ok(RowLine {
        counts: Counts {
            packets: object.count.ok_or(LineError::Missing("count"))?,
            bytes: object.bytes.ok_or(LineError::Missing("bytes"))?,
        },
        estimated: object.estimated,
        other: object.other,
        protocol: object.protocol.as_ref().map(protocol).transpose()?,
        source: endpoint(object.source.as_ref().and_then(object::Source::endpoint))?,
        destination: endpoint(object.destination.as_ref())?,
        port,
        whence: whence(object)?,
    })
}

fn whence(object: Object<'_>) -> Result<Whence<'_>, LineError> {
    let class = object.class.map(|class| value("class", &class)).transpose()?;
    let reason = match object.reason {
        None => None,
        Some(name) => {
            let class = class.ok_or(LineError::Missing("class"))?;
            let subsystem = object.subsystem.ok_or(LineError::Missing("subsystem"))?.0;
            Some(ReasonName { name: name.0, class, subsystem })
        }
    };
    let address = object.address.map(|text| {
        let digits = text.0.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.ok_or_else(|| wrong("address", &text))
    });
    let address = address.transpose()?;
    let function = object.function.map(|text| text.0);
    let module = object.module.map(|text| text.0);
    let source = match object.source {
        Some(object::Source::Line(line)) => Some(Source {
            line: line.0.into_owned(),
            inlined: object.inlined.into_iter().flatten().map(|name| name.0.into_owned()).collect(),
        }),
        _ => None,
    };
    let trap = object.trap;
    let site = (address.is_some() || function.is_some() || trap.is_some()).then(|| SiteName {
        address,
        function,
        offset: object.offset.unwrap_or(0),
        module,
        source,
        trap,
    });
    let (netns, workload) = match object.netns {
        None => (None, Workload::default()),
        Some(object::Netns { inode, name, container, container_name, pod, pod_name, unit }) => (
            Some((inode, name.map(|text| text.0))),
            workload([container, container_name, pod, pod_name, unit])?,
        ),
    };
    Ok(Whence {
        reason,
        class,
        site,
        device: object.device.map(|device| (device.index, device.name.map(|text| text.0))),
        netns,
        workload,
    })
}

pub(super) fn owner(object: object::Owner<'_>) -> Result<Owner, LineError> {
    let object::Owner { pid, command, container, container_name, pod, pod_name, unit } = object;
    let process = pid.zip(command).map(|(pid, command)| Process {
        pid,
        command: command.0.into(),
        holding: Holding::Open,
    });
    Ok(Owner {
        processes: Vec::from_iter(process),
        workload: Arc::new(workload([container, container_name, pod, pod_name, unit])?),
        ..Owner::default()
    })
}

/// From the members that the lines of owners and of namespaces have.
pub(super) fn workload(
    [container, container_name, pod, pod_name, unit]: [Option<Text<'_>>; 5],
) -> Result<Workload, LineError> {
    let owned = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned());
    let container = match container {
        None => None,
        Some(text) => {
            let (runtime, id) = text.0.split_once(':').ok_or_else(|| wrong("container", &text))?;
            Some(Container {
                runtime: Runtime::called(runtime),
                id: id.to_owned(),
                name: owned(container_name),
            })
        }
    };
    Ok(Workload {
        container,
        pod: owned(pod).map(|uid| Pod { uid, name: owned(pod_name) }),
        unit: owned(unit),
    })
}

fn packet(object: &object::Packet<'_>) -> Result<Packet, LineError> {
    let family = |text: &Text<'_>| {
        let all = [Family::Ipv4, Family::Ipv6, Family::Arp];
        all.into_iter().find(|family| family.as_str() == text.0).ok_or_else(|| wrong("family", text))
    };
    let tcp = object.tcp.as_ref();
    let macs = object.mac.as_ref();
    let mut vlans = [None; 2];
    for (slot, id) in vlans.iter_mut().zip(object.vlan.iter().flatten()) {
        *slot = Some(Vlan { id: *id, priority: 0 });
    }
    Ok(Packet {
        length: object.length,
        family: object.family.as_ref().map(family).transpose()?,
        protocol: object.protocol.as_ref().map(protocol).transpose()?.unwrap_or_default(),
        source: endpoint(object.source.as_ref())?,
        destination: endpoint(object.destination.as_ref())?,
        ttl: object.ttl,
        fragment_offset: object.fragment_offset,
        tcp_flags: tcp.and_then(|tcp| tcp.flags.as_ref()).map(tcp_flags).transpose()?,
        tcp_sequence: tcp.and_then(|tcp| tcp.sequence),
        icmp: object.icmp.as_ref().map(|icmp| (icmp.kind, icmp.code)),
        arp_operation: object.arp.as_ref().map(|arp| arp.operation),
        vlans,
        source_mac: macs.and_then(|mac| mac.source.as_ref()).map(mac).transpose()?,
        destination_mac: macs.and_then(|mac| mac.destination.as_ref()).map(mac).transpose()?,
        gso: object.gso.as_ref().map(|gso| Gso { size: gso.size, segments: gso.segments }),
    })
}

fn time(text: Option<&Text<'_>>) -> Result<Timestamp, LineError> {
    let text = text.ok_or(LineError::Missing("time"))?;
    let time: jiff::Timestamp = value("time", text)?;
    // Before 1970 or after 2554: nothing was recorded then.
    u64::try_from(time.as_nanosecond()).map(Timestamp).map_err(|_| wrong("time", text))
}

/// A port alone is no endpoint.
pub(super) fn endpoint(object: Option<&object::Endpoint<'_>>) -> Result<Option<Endpoint>, LineError> {
    let Some(object) = object else { return Ok(None) };
    let Some(address) = &object.address else { return Ok(None) };
    Ok(Some(Endpoint { address: self::address(address)?, port: object.port }))
}

pub(super) fn address(text: &Text<'_>) -> Result<IpAddr, LineError> {
    value("address", text)
}

fn protocol(text: &Text<'_>) -> Result<Protocol, LineError> {
    value("protocol", text)
}

fn tcp_flags(text: &Text<'_>) -> Result<TcpFlags, LineError> {
    value("flags", text)
}

fn mac(text: &Text<'_>) -> Result<[u8; 6], LineError> {
    let mut octets = text.0.split(':').map(|digits| u8::from_str_radix(digits, 16).ok());
    let mut mac = [0; 6];
    for slot in &mut mac {
        *slot = octets.next().flatten().ok_or_else(|| wrong("mac", text))?;
    }
    if octets.next().is_some() { Err(wrong("mac", text)) } else { Ok(mac) }
}

fn value<T: std::str::FromStr>(member: &'static str, text: &Text<'_>) -> Result<T, LineError> {
    text.0.parse().map_err(|_| wrong(member, text))
}

pub(super) fn wrong(member: &'static str, text: &Text<'_>) -> LineError {
    LineError::Value { member, value: text.0.chars().take(64).collect() }
}
