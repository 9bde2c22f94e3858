//! The lines' JSON as serde reads it: one object for all kinds of lines and for rows, as their members mean the same.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::{Accounts, DeviceCount, Host, RuleHit, Trap, VerdictCount};

/// Text that stays where it is, unless it holds an escape.
#[derive(Debug, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Debug, Deserialize)]
pub struct Object<'a> {
    pub v: Option<u64>,
    #[serde(borrow)]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub time: Option<Text<'a>>,
    pub weight: Option<u64>,
    pub cpu: Option<u32>,
    #[serde(borrow)]
    pub packet: Option<Packet<'a>>,
    pub interval_ms: Option<u64>,
    #[serde(borrow)]
    pub rows: Option<Vec<Object<'a>>>,
    pub accounts: Option<Accounts>,
    pub count: Option<u64>,
    pub bytes: Option<u64>,
    #[serde(default)]
    pub estimated: bool,
    #[serde(default)]
    pub other: bool,
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub class: Option<Text<'a>>,
    #[serde(borrow)]
    pub subsystem: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Text<'a>>,
    pub offset: Option<u64>,
    #[serde(borrow)]
    pub module: Option<Text<'a>>,
    #[serde(borrow)]
    pub address: Option<Text<'a>>,
    pub trap: Option<Trap>,
    #[serde(borrow)]
    pub device: Option<Device<'a>>,
    #[serde(borrow)]
    pub netns: Option<Netns<'a>>,
    #[serde(borrow)]
    pub socket: Option<Socket<'a>>,
    #[serde(borrow)]
    pub protocol: Option<Text<'a>>,
    #[serde(borrow)]
    pub source: Option<Source<'a>>,
    #[serde(borrow)]
    pub inlined: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub destination: Option<Endpoint<'a>>,
    #[serde(default)]
    pub rules: Vec<RuleHit>,
    #[serde(default)]
    pub verdicts: Vec<VerdictCount>,
    #[serde(default)]
    pub devices: Vec<DeviceCount>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(borrow)]
    pub stack: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub tcp: Option<Box<super::tcp::Totals<'a>>>,
    pub host: Option<Host>,
}

/// Of a drop, the line of its site; of a row, where its packets came from.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Source<'a> {
    Line(#[serde(borrow)] Text<'a>),
    Endpoint(#[serde(borrow)] Endpoint<'a>),
}

impl<'a> Source<'a> {
    pub fn endpoint(&self) -> Option<&Endpoint<'a>> {
        match self {
            Self::Line(_) => None,
            Self::Endpoint(endpoint) => Some(endpoint),
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct Device<'a> {
    pub index: u32,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Netns<'a> {
    pub inode: u32,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub container: Option<Text<'a>>,
    #[serde(borrow)]
    pub container_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub pod: Option<Text<'a>>,
    #[serde(borrow)]
    pub pod_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub unit: Option<Text<'a>>,
}

/// Of a socket, nothing but whose it is.
#[derive(Debug, Deserialize)]
pub struct Socket<'a> {
    #[serde(borrow)]
    pub owner: Option<Owner<'a>>,
}

/// Of those who have it the first.
#[derive(Debug, Deserialize)]
pub struct Owner<'a> {
    pub pid: Option<u32>,
    #[serde(borrow)]
    pub command: Option<Text<'a>>,
    #[serde(borrow)]
    pub container: Option<Text<'a>>,
    #[serde(borrow)]
    pub container_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub pod: Option<Text<'a>>,
    #[serde(borrow)]
    pub pod_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub unit: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Endpoint<'a> {
    #[serde(borrow)]
    pub address: Option<Text<'a>>,
    pub port: Option<u16>,
}

#[derive(Debug, Deserialize)]
pub struct Packet<'a> {
    pub length: u32,
    #[serde(borrow)]
    pub family: Option<Text<'a>>,
    #[serde(borrow)]
    pub protocol: Option<Text<'a>>,
    #[serde(borrow)]
    pub source: Option<Endpoint<'a>>,
    #[serde(borrow)]
    pub destination: Option<Endpoint<'a>>,
    pub ttl: Option<u8>,
    pub fragment_offset: Option<u16>,
    #[serde(borrow)]
    pub tcp: Option<Tcp<'a>>,
    pub icmp: Option<Icmp>,
    pub arp: Option<Arp>,
    pub vlan: Option<Vec<u16>>,
    #[serde(borrow)]
    pub mac: Option<Mac<'a>>,
    pub gso: Option<Gso>,
}

#[derive(Debug, Deserialize)]
pub struct Tcp<'a> {
    #[serde(borrow)]
    pub flags: Option<Text<'a>>,
    pub sequence: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub struct Icmp {
    #[serde(rename = "type")]
    pub kind: u8,
    pub code: u8,
}

#[derive(Debug, Deserialize)]
pub struct Arp {
    pub operation: u16,
}

#[derive(Debug, Deserialize)]
pub struct Mac<'a> {
    #[serde(borrow)]
    pub source: Option<Text<'a>>,
    #[serde(borrow)]
    pub destination: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Gso {
    pub size: u16,
    #[serde(default)]
    pub segments: u16,
}
