//! Parts that checks of several areas need.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::{Part, Place, Unread};
use crate::counters::cpu_times::{self, CpuTimes};
pub use crate::counters::protocols::Counters;
pub use crate::counters::sockstat::Sockstat;

impl Part for Counters {
    const FROM: &'static str = "/proc/net/snmp, netstat and snmp6";

    fn read(place: &Place) -> Result<Self, Unread> {
        let mut counters = Self::parse(&place.net("snmp")?);
        // Older or smaller kernels may lack these; without IPv6 there is no snmp6.
        counters.extend(Self::parse(&place.net("netstat").unwrap_or_default()));
        counters.extend(Self::parse_v6(&place.net("snmp6").unwrap_or_default()));
        Ok(counters)
    }
}

impl Part for CpuTimes {
    const FROM: &'static str = "/proc/stat";

    fn read(place: &Place) -> Result<Self, Unread> {
        Ok(cpu_times::parse(&place.text(Self::FROM)?))
    }
}

impl Part for Sockstat {
    const FROM: &'static str = "/proc/net/sockstat";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        place.net("sockstat").map(|text| Self::parse(&text))
    }
}

/// Folders below `/proc/sys` whose files are read; not the folders in them.
const FOLDERS: [&str; 8] = [
    "net/core",
    "net/ipv4",
    "net/ipv4/conf/all",
    "net/ipv4/neigh/default",
    "net/ipv6",
    "net/ipv6/conf/all",
    "net/ipv6/neigh/default",
    "net/netfilter",
];

/// The network's settings, by their names with dots: `net.core.somaxconn`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sysctls {
    values: BTreeMap<String, String>,
    /// Those that can't be set in this namespace, as the host has them once.
    of_host: BTreeSet<String>,
}

impl Sysctls {
    /// A setting as it stands there.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Whether it is set for the whole host alone, though another namespace is looked at. Which settings are so differs between kernels.
    pub fn is_of_host(&self, key: &str) -> bool {
        self.of_host.contains(key)
    }

    #[cfg(test)]
    #[must_use]
    pub fn of_host(self, keys: &[&str]) -> Self {
        Self { of_host: keys.iter().map(ToString::to_string).collect(), ..self }
    }

    /// One that is a number.
    ///
    /// # Errors
    /// When it isn't there, or is none.
    pub fn number(&self, key: &str) -> Result<u64, Unread> {
        let from = || format!("/proc/sys/{}", key.replace('.', "/"));
        let text = self
            .get(key)
            .ok_or_else(|| Unread::new(from(), "this kernel or this namespace doesn't have it"))?;
        text.parse().map_err(|_| Unread::new(from(), format!("`{text}` is no number")))
    }
}

impl<K: Into<String>, V: ToString> FromIterator<(K, V)> for Sysctls {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(settings: I) -> Self {
        let values = settings.into_iter().map(|(key, value)| (key.into(), value.to_string())).collect();
        Self { values, of_host: BTreeSet::new() }
    }
}

impl Part for Sysctls {
    const FROM: &'static str = "/proc/sys/net";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let Found { mut values, fixed } = folders(place);
        let Some(home) = of_process(place) else { return Ok(Self { values, of_host: BTreeSet::new() }) };
        // What the host has once isn't seen elsewhere (`net.ipv4.udp_mem`), or can't be written there (`net.core.rmem_max`; sock.c and
        // sysctl_net_core.c, by kernel): what a namespace lacks and the process's own has is that.
        let mut of_host = fixed;
        for (key, value) in home.values {
            if let Entry::Vacant(lacking) = values.entry(key) {
                of_host.insert(lacking.key().clone());
                lacking.insert(value);
            }
        }
        Ok(Self { values, of_host })
    }
}

/// What was found in the folders.
#[derive(Default)]
struct Found {
    values: BTreeMap<String, String>,
    /// Those that nobody may write.
    fixed: BTreeSet<String>,
}

fn folders(place: &Place) -> Found {
    let mut found = Found::default();
    for folder in FOLDERS {
        let path = place.path(&format!("/proc/sys/{folder}"));
        // What a kernel or a namespace lacks is told by the check that asks for it.
        for file in fs::read_dir(path).into_iter().flatten().flatten() {
            let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
            if let (true, Ok(text)) = (is_file, fs::read_to_string(file.path())) {
                let name = format!("{folder}/{}", file.file_name().to_string_lossy()).replace('/', ".");
                if file.metadata().is_ok_and(|file| file.permissions().readonly()) {
                    found.fixed.insert(name.clone());
                }
                found.values.insert(name, text.trim().to_owned());
            }
        }
    }
    found
}

/// The settings of the process's namespace, where the calling thread has entered another one: `/proc/sys` shows those of who reads it.
fn of_process(place: &Place) -> Option<Found> {
    let home = place.path("/proc/self/ns/net");
    if fs::read_link(&home).ok()? == fs::read_link(place.path("/proc/thread-self/ns/net")).ok()? {
        return None;
    }
    let there = || {
        setns(fs::File::open(home).ok()?, CloneFlags::CLONE_NEWNET).ok()?;
        Some(folders(place))
    };
    thread::scope(|scope| scope.spawn(there).join().ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn settings_are_read_by_their_names() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            made_up::file(root.path(), &format!("proc/sys/net/core/{name}"), text);
        };
        write("a folder/somaxconn", "1\n");
        write("somaxconn", "4096\n");
        write("default_qdisc", "fq_codel\n");
        let settings = Sysctls::read(&Place::new(root.path())).unwrap();
        assert_eq!(settings.number("net.core.somaxconn"), Ok(4096));
        let told = |key| settings.number(key).unwrap_err().to_string();
        assert_eq!(
            told("net.core.default_qdisc"),
            "/proc/sys/net/core/default_qdisc: `fq_codel` is no number"
        );
        assert_eq!(told("net.core.x"), "/proc/sys/net/core/x: this kernel or this namespace doesn't have it");
        assert_eq!(settings.values.len(), 2);
    }
}
