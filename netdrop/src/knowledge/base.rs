//! The records, and how they are found.

use std::sync::LazyLock;

use super::Class;
use super::entry::{Entry, Kind};

use crate::order::InOrder as _;
use crate::packed::{self, packed};

/// Subsystem and records. Functions, traps, resets and checks are in files of their own.
const FILES: [(&str, &[u8]); 9] = [
    ("core", packed!("core.rec")),
    ("mac80211", packed!("mac80211.rec")),
    ("openvswitch", packed!("openvswitch.rec")),
    ("qdisc", packed!("qdisc.rec")),
    ("core", packed!("sites.rec")),
    ("devlink", packed!("traps.rec")),
    ("tcp", packed!("resets.rec")),
    ("doctor", packed!("checks.rec")),
    ("net", packed!("settings.rec")),
];

/// By kind and name. Made when something is first looked up, in a fraction of a millisecond: whoever asks nothing pays nothing.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut entries: Vec<_> = files().flat_map(|(subsystem, text)| read(subsystem, text)).collect();
    entries.order_by_key(|entry| (entry.kind, entry.name));
    entries
});

/// Subsystem and records of each file.
pub(super) fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().map(|(subsystem, file)| (*subsystem, packed::text(file)))
}

/// One entry for each name of each record: functions that drop alike share a record.
pub(super) fn read(subsystem: &'static str, text: &'static str) -> impl Iterator<Item = Entry> {
    text.split("\n\n").flat_map(move |record| {
        record.lines().filter_map(move |line| {
            let (kind, name) = line
                .strip_prefix("Reason: ")
                .map(|name| (Kind::Reason, name))
                .or_else(|| line.strip_prefix("Site: ").map(|name| (Kind::Function, name)))
                .or_else(|| line.strip_prefix("Trap: ").map(|name| (Kind::Trap, name)))
                .or_else(|| line.strip_prefix("Reset: ").map(|name| (Kind::Reset, name)))
                .or_else(|| line.strip_prefix("Check: ").map(|name| (Kind::Check, name)))
                .or_else(|| line.strip_prefix("Setting: ").map(|name| (Kind::Setting, name)))?;
            Some(Entry { kind, name, subsystem, record })
        })
    })
}

/// All entries: reasons by name, then functions, then traps, then resets, then the doctor's checks.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter()
}

/// A reason by the name that the kernel's enum gives it, without `SKB_DROP_REASON_`.
pub fn reason(name: &str) -> Option<&'static Entry> {
    find(Kind::Reason, name)
}

/// A function; what the compiler put behind its name (`.isra.0`, `.cold`) is left aside.
pub fn site(function: &str) -> Option<&'static Entry> {
    find(Kind::Function, function.split('.').next().unwrap_or(function))
}

/// A packet trap of hardware.
pub fn trap(name: &str) -> Option<&'static Entry> {
    find(Kind::Trap, name)
}

/// Why TCP sent a reset, by the name that `enum sk_rst_reason` gives it, without `SK_RST_REASON_`.
pub fn reset(name: &str) -> Option<&'static Entry> {
    find(Kind::Reset, name)
}

/// A check of the doctor's, by its name: `udp-receive-queue-full`.
pub fn check(name: &str) -> Option<&'static Entry> {
    find(Kind::Check, name)
}

/// A setting of the network, by its name with dots: `net.ipv4.tcp_rmem`.
pub fn setting(name: &str) -> Option<&'static Entry> {
    find(Kind::Setting, name)
}

fn find(kind: Kind, name: &str) -> Option<&'static Entry> {
    let found = ENTRIES.binary_search_by(|entry| (entry.kind, entry.name).cmp(&(kind, name)));
    found.ok().map(|at| &ENTRIES[at])
}

/// The class of a drop. The reason decides; where the kernel gives none (before 5.17) or says `NOT_SPECIFIED`, the function,
/// as far as it is known. A reason that is not in the base is [`Class::Unknown`] wherever it happens: that would be a guess.
pub fn class_of(reason: Option<&str>, function: Option<&str>) -> Class {
    match reason {
        None | Some("NOT_SPECIFIED") => function.and_then(site).map_or(Class::Unknown, Entry::class),
        Some(name) => self::reason(name).map_or(Class::Unknown, Entry::class),
    }
}

/// The class of what hardware dropped. A trap that isn't in the base (drivers have their own) is judged by its group, where
/// all traps of that group are of one class (`DEVLINK_TRAP_GROUP_GENERIC`, include/net/devlink.h).
pub fn class_of_trap(name: &str, group: &str) -> Class {
    trap(name).map_or_else(
        || match group {
            "acl_drops" => Class::Policy,
            "buffer_drops" => Class::Congestion,
            "parser_error_drops" => Class::Malformed,
            _ => Class::Unknown,
        },
        Entry::class,
    )
}
