//! Parts that checks of several areas need.

use std::collections::BTreeMap;
use std::fs;

use super::{Part, Place, Unread};
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

impl Part for Sockstat {
    const FROM: &'static str = "/proc/net/sockstat";

    fn read(place: &Place) -> Result<Self, Unread> {
        place.net("sockstat").map(|text| Self::parse(&text))
    }
}

/// Folders below `/proc/sys` whose files are read; not the folders in them.
const FOLDERS: [&str; 6] = [
    "net/core",
    "net/ipv4",
    "net/ipv4/conf/all",
    "net/ipv4/neigh/default",
    "net/ipv6/neigh/default",
    "net/netfilter",
];

/// The network's settings, by their names with dots: `net.core.somaxconn`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sysctls(BTreeMap<String, String>);

impl Sysctls {
    /// A setting as it stands there.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
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
        Self(settings.into_iter().map(|(key, value)| (key.into(), value.to_string())).collect())
    }
}

impl Part for Sysctls {
    const FROM: &'static str = "/proc/sys/net";

    fn read(place: &Place) -> Result<Self, Unread> {
        let mut settings = BTreeMap::new();
        for folder in FOLDERS {
            let path = place.path(&format!("/proc/sys/{folder}"));
            // What a kernel or a namespace lacks is told by the check that asks for it.
            for file in fs::read_dir(path).into_iter().flatten().flatten() {
                let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
                if let (true, Ok(text)) = (is_file, fs::read_to_string(file.path())) {
                    let name = format!("{folder}/{}", file.file_name().to_string_lossy());
                    settings.insert(name.replace('/', "."), text.trim().to_owned());
                }
            }
        }
        Ok(Self(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_names() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/net/core");
        fs::create_dir_all(folder.join("a folder")).unwrap();
        fs::write(folder.join("somaxconn"), "4096\n").unwrap();
        fs::write(folder.join("default_qdisc"), "fq_codel\n").unwrap();
        let settings = Sysctls::read(&Place::new(root.path())).unwrap();
        assert_eq!(settings.number("net.core.somaxconn"), Ok(4096));
        let told = |key| settings.number(key).unwrap_err().to_string();
        assert_eq!(
            told("net.core.default_qdisc"),
            "/proc/sys/net/core/default_qdisc: `fq_codel` is no number"
        );
        assert_eq!(told("net.core.x"), "/proc/sys/net/core/x: this kernel or this namespace doesn't have it");
        assert_eq!(settings.0.len(), 2);
    }
}
