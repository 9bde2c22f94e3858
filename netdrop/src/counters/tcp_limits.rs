//! What limits a namespace's connections: `TIME_WAIT` and the ports for outgoing ones (`ip(7)`, `tcp(7)`, the kernel's
//! `Documentation/networking/ip-sysctl.rst`).

use std::fs::read_to_string;
use std::path::Path;

/// Limits and what is in use of them. What can't be read is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpLimits {
    /// Connections in `TIME_WAIT`.
    pub time_wait: Option<u64>,
    /// `net.ipv4.tcp_max_tw_buckets`.
    pub time_wait_limit: Option<u64>,
    /// `net.ipv4.ip_local_port_range`: first and last.
    pub range: Option<(u16, u16)>,
    /// Of that range: `net.ipv4.ip_local_reserved_ports`.
    pub reserved: u32,
}

impl TcpLimits {
    /// Those of the calling thread's namespace, below `procfs`.
    pub fn read(procfs: &Path) -> Self {
        let text = |path: &str| read_to_string(procfs.join(path)).ok();
        let range = text("sys/net/ipv4/ip_local_port_range").and_then(|text| port_range(&text));
        let reserved = text("sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
        Self {
            time_wait: text("thread-self/net/sockstat").and_then(|text| time_wait(&text)),
            time_wait_limit: text("sys/net/ipv4/tcp_max_tw_buckets")
                .and_then(|text| text.trim().parse().ok()),
            range,
            reserved: range.map_or(0, |range| reserved_in(&reserved, range)),
        }
    }
}

/// `tw` in `/proc/net/sockstat`'s line of TCP.
fn time_wait(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.by_ref().find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

/// `32768 60999`, with a tab between.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_whitespace().map(str::parse);
    let (first, last) = (ports.next()?.ok()?, ports.next()?.ok()?);
    (first <= last).then_some((first, last))
}

/// How many ports of `range` are in `8080,9148-9150`, which the kernel prints in order and without overlaps.
fn reserved_in(text: &str, (first, last): (u16, u16)) -> u32 {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
        let (from, to) = (from.max(first), to.min(last));
        (from <= to).then(|| u32::from(to - from) + 1)
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rstest::rstest]
    #[case("sockets: used 98\nTCP: inuse 5 orphan 0 tw 12 alloc 8 mem 1\nUDP: inuse 1 mem 0\n", Some(12))]
    #[case("TCP6: inuse 5\n", None)]
    #[case("TCP: inuse 5 orphan 0 tw\n", None)]
    #[case("", None)]
    fn time_wait_is_a_word_of_tcps_line(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(time_wait(text), expected);
    }

    #[rstest::rstest]
    #[case("32768\t60999\n", Some((32768, 60999)))]
    #[case("1 1", Some((1, 1)))]
    #[case("2 1", None)]
    #[case("32768", None)]
    #[case("0 65536", None)]
    fn ranges(#[case] text: &str, #[case] expected: Option<(u16, u16)>) {
        assert_eq!(port_range(text), expected);
    }

    #[rstest::rstest]
    #[case("\n", 0)]
    #[case("8080,9148-9150\n", 0)]
    #[case("8080,40000,50000-50009,60990-65535\n", 1 + 10 + 10)]
    #[case("1-65535", 28_232)]
    fn reserved_ports_count_within_the_range(#[case] text: &str, #[case] expected: u32) {
        assert_eq!(reserved_in(text, (32_768, 60_999)), expected);
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(TcpLimits::read(folder.path()), TcpLimits::default());
        for (path, text) in [
            ("thread-self/net/sockstat", "TCP: inuse 1 tw 3\n"),
            ("sys/net/ipv4/tcp_max_tw_buckets", "8192\n"),
            ("sys/net/ipv4/ip_local_port_range", "1000\t1999\n"),
            ("sys/net/ipv4/ip_local_reserved_ports", "1500-1509\n"),
        ] {
            crate::made_up::file(folder.path(), path, text);
        }
        let expected = TcpLimits {
            time_wait: Some(3),
            time_wait_limit: Some(8192),
            range: Some((1000, 1999)),
            reserved: 10,
        };
        assert_eq!(TcpLimits::read(folder.path()), expected);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[TCP: tw0-9,\n\t-]{0,40}") {
            let _ = (time_wait(&text), port_range(&text), reserved_in(&text, (1, u16::MAX)));
        }
    }
}
