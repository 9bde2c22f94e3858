//! Routing: whether a packet may come this way, where it goes on, and whether it fits.

mod forwarding;
mod fragments;
mod martian;
mod no_route;
mod path_mtu;
mod reverse_path;
mod too_big;
mod ttl;

use std::collections::BTreeMap;
use std::fs;

use super::{Check, Moved, Part, Place, Unread, Window};
use crate::counters::cpu_table::CpuTable;
use crate::counters::fragment_memory::FragmentMemory;
use crate::counters::inet_sockets::Listed;
use crate::counters::tcp_stalls::{self, Stall};

pub const CHECKS: &[Check] = &[
    reverse_path::CHECK,
    martian::CHECK,
    no_route::CHECK,
    forwarding::CHECK,
    fragments::CHECK,
    ttl::CHECK,
    too_big::CHECK,
    path_mtu::CHECK,
];

/// What each device may do with IPv4, by its name; `all` and `default` are among them (`Documentation/networking/ip-sysctl.rst`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confs(pub BTreeMap<String, Conf>);

/// Settings of a device. What can't be read is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conf {
    /// 0 off, 1 strict, 2 loose: the larger of `all`'s and its own counts.
    pub rp_filter: u8,
    /// Whether it forwards.
    pub forwarding: bool,
}

impl Confs {
    /// The reverse path filter of a device as it counts (`IN_DEV_RPFILTER`, include/linux/inetdevice.h).
    fn rp_filter(&self, device: &str) -> u8 {
        let of = |name: &str| self.0.get(name).map_or(0, |conf| conf.rp_filter);
        of("all").max(of(device))
    }

    /// The devices alone.
    fn devices(&self) -> impl Iterator<Item = (&str, Conf)> {
        let devices = self.0.iter().map(|(name, conf)| (name.as_str(), *conf));
        devices.filter(|(name, _)| !["all", "default", "lo"].contains(name))
    }
}

impl Part for Confs {
    const FROM: &'static str = "/proc/sys/net/ipv4/conf";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let folders = fs::read_dir(place.path(Self::FROM)).map_err(|error| Unread::io(Self::FROM, &error))?;
        let conf = |folder: fs::DirEntry| {
            let number = |name| fs::read_to_string(folder.path().join(name)).ok()?.trim().parse::<u8>().ok();
            let rp_filter = number("rp_filter").unwrap_or(0);
            let forwarding = number("forwarding").unwrap_or(0) != 0;
            (folder.file_name().to_string_lossy().into_owned(), Conf { rp_filter, forwarding })
        };
        Ok(Self(folders.flatten().map(conf).collect()))
    }
}

impl Part for FragmentMemory {
    const FROM: &'static str = "/proc/net/sockstat and sockstat6";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        // Without IPv6 there is no second file.
        Ok(Self::parse(&place.net("sockstat")?, &place.net("sockstat6").unwrap_or_default()))
    }
}

/// What the routes' lookups counted; of all namespaces together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteStats(pub CpuTable);

impl Part for RouteStats {
    const FROM: &'static str = "/proc/net/stat/rt_cache";

    fn read(place: &Place) -> Result<Self, Unread> {
        let table = CpuTable::parse(&place.net("stat/rt_cache")?);
        table.map(Self).map_err(|error| Unread::new(Self::FROM, error))
    }
}

/// TCP's connections that retransmit the same segment again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stalls(pub Listed<Stall>);

impl Part for Stalls {
    const FROM: &'static str = "sock_diag (ss -tin)";
    const AT_END: bool = true;

    fn read(_: &Place) -> Result<Self, Unread> {
        tcp_stalls::read().map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}

/// Counters of IPv4 and, where there are, of IPv6: those that moved.
///
/// # Errors
/// When the first of them isn't there.
fn moved(window: &Window, names: &[(&str, &str)]) -> Result<Vec<Moved>, Unread> {
    let mut counters = names.iter().map(|(group, name)| window.delta(group, name));
    let first = counters.next().transpose()?;
    Ok(first.into_iter().chain(counters.flatten()).filter(|moved| moved.by() > 0).collect())
}

/// The same, summed; what isn't there counts nothing.
fn sum(window: &Window, names: &[(&str, &str)]) -> u64 {
    names.iter().filter_map(|(group, name)| window.delta(group, name).ok()).map(|moved| moved.by()).sum()
}

/// All of them together.
fn total(counters: &[Moved]) -> u64 {
    counters.iter().map(Moved::by).sum()
}

/// The setting of a device as sysctl(8) takes it: a dot in the device's name is written as a slash.
fn key(device: &str, name: &str) -> String {
    format!("net.ipv4.conf.{}.{name}", device.replace('.', "/"))
}

/// `r0`, `r0 and r1`, `r0, r1 and r2`.
fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn settings_of_devices_are_read() {
        let root = tempfile::tempdir().unwrap();
        for (name, rp_filter, forwarding) in [("all", "2", "0"), ("eth0.7", "1\n", "1\n"), ("eth1", "x", "")]
        {
            let folder = format!("proc/sys/net/ipv4/conf/{name}");
            made_up::file(root.path(), &format!("{folder}/rp_filter"), rp_filter);
            made_up::file(root.path(), &format!("{folder}/forwarding"), forwarding);
        }
        let confs = Confs::read(&Place::new(root.path())).unwrap();
        assert_eq!(confs.0["eth0.7"], Conf { rp_filter: 1, forwarding: true });
        assert_eq!(confs.0["eth1"], Conf::default());
        assert_eq!((confs.rp_filter("eth0.7"), confs.rp_filter("away")), (2, 2));
        assert_eq!(confs.devices().map(|(name, _)| name).collect::<Vec<_>>(), ["eth0.7", "eth1"]);
        assert_eq!(key("eth0.7", "rp_filter"), "net.ipv4.conf.eth0/7.rp_filter");
    }

    #[test]
    fn names_are_told_as_people_do() {
        let told = |names: &[&str]| list(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!([told(&[]), told(&["a"]), told(&["a", "b", "c"])], ["", "a", "a, b and c"]);
    }
}
