//! What settings depend on besides each other: memory, kernel, devices, listeners.

use std::collections::BTreeSet;

use crate::counters::inet_sockets::{self, Which};
use crate::doctor::{Part, Place, Unread};

/// How container engines call their bridges.
const BRIDGES: [&str; 8] = ["docker0", "cni0", "podman0", "virbr0", "lxdbr0", "incusbr0", "lxcbr0", "cbr0"];

/// The host, as far as settings depend on it; zero where it isn't known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Memory in bytes.
    pub ram: u64,
    /// Bytes of a page.
    pub page: u64,
    /// 1000 times its major and once its minor version.
    pub kernel: u64,
    /// Devices with a default route.
    pub uplinks: u64,
    /// Bridges of container engines.
    pub bridges: u64,
    /// Ports of TCP's listeners.
    pub listeners: BTreeSet<u16>,
}

impl Part for Host {
    const FROM: &'static str = "/proc/meminfo, /proc/net/route and dev";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let of = |text: Result<String, Unread>| text.unwrap_or_default();
        let listeners = inet_sockets::read(Which::TcpListeners).unwrap_or_default();
        // SAFETY: it has no memory arguments.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(Self {
            ram: ram(&of(place.text("/proc/meminfo"))),
            page: u64::try_from(page).unwrap_or(4096),
            kernel: kernel(&of(place.text("/proc/sys/kernel/osrelease"))),
            uplinks: uplinks(&of(place.net("route"))),
            bridges: bridges(&of(place.net("dev"))),
            listeners: listeners.iter().map(|listener| listener.local.port()).collect(),
        })
    }
}

fn ram(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

/// `6.12.43+deb13-amd64` is 6012.
fn kernel(release: &str) -> u64 {
    let mut numbers = release.split(|one: char| !one.is_ascii_digit()).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => major.saturating_mul(1000).saturating_add(minor),
        _ => 0,
    }
}

/// Device and destination are the first two columns; 0.0.0.0 is the default (`fib_route_seq_show`, `net/ipv4/fib_trie.c`).
fn uplinks(routes: &str) -> u64 {
    let device = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (device, destination, mask) = (words.next()?, words.next()?, words.nth(5)?);
        (destination == "00000000" && mask == "00000000").then(|| device.to_owned())
    };
    count(&routes.lines().skip(1).filter_map(device).collect())
}

fn bridges(devices: &str) -> u64 {
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
    let is_bridge = |name: &String| BRIDGES.contains(&name.as_str()) || name.starts_with("br-");
    count(&devices.lines().filter_map(name).filter(is_bridge).collect())
}

fn count(names: &BTreeSet<String>) -> u64 {
    names.len().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_as_the_kernel_writes_them() {
        assert_eq!(ram("MemTotal:        2028412 kB\nMemFree: 1 kB\n"), 2_028_412 * 1024);
        assert_eq!((kernel("5.10.0-35-cloud-amd64"), kernel("7.3.1\n"), kernel("x")), (5010, 7003, 0));
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth1\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
            eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(uplinks(routes), 2);
        let devices = "Inter-|   Receive\n face |bytes\n  eth0: 1 2\ndocker0: 0 0\nbr-3f2a: 0 0\nbridge: 0\n";
        assert_eq!(bridges(devices), 2);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in any::<String>(), table in "[a-z0-9:. \t\n]{0,90}") {
            for text in [text, table] {
                let _ = (ram(&text), kernel(&text), uplinks(&text), bridges(&text));
            }
        }
    }
}
