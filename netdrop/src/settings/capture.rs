//! `[capture]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Size, Time};
use crate::filter::{Choice, Wanted};

/// What is counted, and of which drops there are details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Time between two readings of the counters, 100ms or more; who asks has them read in between.
    #[serde(deserialize_with = "interval")]
    pub interval: Time,
    /// Details per second of each site, reason, device, namespace and protocol on each CPU; 0: counts alone.
    pub rate: u32,
    /// Bytes of the packet that are copied, 64 to 256.
    #[serde(deserialize_with = "snaplen")]
    pub snaplen: u32,
    /// Whether details tell the socket and its owner.
    pub sockets: bool,
    /// Whether details tell the way through the kernel.
    pub stack: bool,
    /// Whether the hardware's drops are shown: `auto`: where a device can tell them.
    pub hardware: Hardware,
    /// Whether TCP's own events are counted too: segments sent again, resets, ends of connections, round-trip times.
    pub tcp: bool,
    /// Each CPU's ring buffer, 4K to 512M; empty: 1M, less on many CPUs.
    #[serde(deserialize_with = "ring_size")]
    pub ring_size: Size,
    /// The kernel's debug information, for source lines; empty: none are looked for.
    pub vmlinux: PathBuf,
    /// Counters that are kept apart. From half of it on, those of devices and namespaces that are gone are summed in one.
    pub max_counters: usize,
    /// Drops must match these, where any are named.
    pub only: Names,
    /// Drops must match none of these.
    pub not: Names,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interval: Time(Duration::from_secs(10)),
            rate: 10,
            snaplen: 96,
            sockets: true,
            stack: false,
            hardware: Hardware::Auto,
            tcp: false,
            ring_size: Size(None),
            vmlinux: PathBuf::new(),
            max_counters: 16384,
            only: Names::default(),
            not: Names::default(),
        }
    }
}

/// Whether the hardware's drops are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardware {
    /// Where a device can tell them.
    Auto,
    /// Always: an error where the kernel can't.
    On,
    /// Never.
    Off,
}

/// The names of a filter, as `netdrop watch` takes them with `--reason` and so on. A list means any of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the flag of its name; `netdrop watch --help` explains it")]
pub struct Names {
    pub reason: Vec<String>,
    pub class: Vec<String>,
    pub function: Vec<String>,
    pub device: Vec<String>,
    pub netns: Vec<String>,
    pub proto: Vec<String>,
    pub host: Vec<String>,
    pub src: Vec<String>,
    pub dst: Vec<String>,
    pub port: Vec<String>,
    pub sport: Vec<String>,
    pub dport: Vec<String>,
    pub container: Vec<String>,
    pub owner: Vec<String>,
}

impl Capture {
    /// In the filter's own terms.
    pub fn wanted(&self) -> Wanted {
        let choice = |of: fn(&Names) -> &Vec<String>| Choice {
            only: of(&self.only).clone(),
            not: of(&self.not).clone(),
        };
        Wanted {
            reason: choice(|names| &names.reason),
            class: choice(|names| &names.class),
            function: choice(|names| &names.function),
            device: choice(|names| &names.device),
            netns: choice(|names| &names.netns),
            protocol: choice(|names| &names.proto),
            host: choice(|names| &names.host),
            source: choice(|names| &names.src),
            destination: choice(|names| &names.dst),
            port: choice(|names| &names.port),
            source_port: choice(|names| &names.sport),
            destination_port: choice(|names| &names.dport),
            container: choice(|names| &names.container),
            owner: choice(|names| &names.owner),
            cgroup: None,
        }
    }

    /// Whether the program that `self` asks for does as well for `other`: all else changes without a new one.
    pub fn same_program(&self, other: &Self) -> bool {
        let program =
            |of: &Self| Self { interval: self.interval, max_counters: self.max_counters, ..of.clone() };
        program(self) == program(other)
    }
}

/// The key of each of a filter's flags, with what it names.
pub fn named(wanted: &Wanted) -> [(&'static str, &Choice); 14] {
    [
        ("reason", &wanted.reason),
        ("class", &wanted.class),
        ("function", &wanted.function),
        ("device", &wanted.device),
        ("netns", &wanted.netns),
        ("proto", &wanted.protocol),
        ("host", &wanted.host),
        ("src", &wanted.source),
        ("dst", &wanted.destination),
        ("port", &wanted.port),
        ("sport", &wanted.source_port),
        ("dport", &wanted.destination_port),
        ("container", &wanted.container),
        ("owner", &wanted.owner),
    ]
}

fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    const LEAST: Duration = Duration::from_millis(100);
    checked(from, |time: &Time| time.0 >= LEAST, "write a time of 100ms or more")
}

fn snaplen<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    checked(from, |bytes| (64..=256).contains(bytes), "write a number of bytes, 64 to 256")
}

fn ring_size<'de, D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
    let fits = |size: &Size| size.0.is_none_or(|bytes| (4 << 10..=512 << 20).contains(&bytes));
    checked(from, fits, "write a size from 4K to 512M, or nothing")
}

fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    fits: impl FnOnce(&T) -> bool,
    otherwise: &str,
) -> Result<T, D::Error> {
    let value = T::deserialize(from)?;
    if fits(&value) { Ok(value) } else { Err(serde::de::Error::custom(otherwise)) }
}
