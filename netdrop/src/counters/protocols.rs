//! What the kernel counts of its protocols: `/proc/net/snmp` and `netstat` (`net/ipv4/proc.c`), `snmp6` (`net/ipv6/proc.c`).

use std::collections::HashMap;

/// Counters by group and name: (`TcpExt`, `ListenOverflows`), (`Udp6`, `RcvbufErrors`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(HashMap<(String, String), u64>);

impl Counters {
    /// `snmp` and `netstat`: two lines a group, names and then numbers in the same order. A number that is none (`MaxConn -1`) is left out.
    pub fn parse(text: &str) -> Self {
        let mut counters = HashMap::new();
        let mut lines = text.lines();
        while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
            let (Some((group, names)), Some((same, numbers))) =
                (names.split_once(':'), numbers.split_once(':'))
            else {
                continue;
            };
            if group != same {
                continue;
            }
            for (name, number) in names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace()) {
                if let Ok(number) = number.parse() {
                    counters.insert((group.to_owned(), name.to_owned()), number);
                }
            }
        }
        Self(counters)
    }

    /// `snmp6`: a line a counter, `Udp6RcvbufErrors 3`. The group ends with the first 6.
    pub fn parse_v6(text: &str) -> Self {
        let counter = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (name, number) = (words.next()?, words.next()?.parse().ok()?);
            let (group, name) = name.split_at(name.find('6')? + 1);
            Some(((group.to_owned(), name.to_owned()), number))
        };
        Self(text.lines().filter_map(counter).collect())
    }

    /// Takes those of another file too.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// A counter; absent where this kernel has none of that name.
    pub fn get(&self, group: &str, name: &str) -> Option<u64> {
        self.0.get(&(group.to_owned(), name.to_owned())).copied()
    }

    /// The file that has a group.
    pub fn file_of(group: &str) -> &'static str {
        match group {
            _ if group.ends_with('6') => "/proc/net/snmp6",
            _ if group.ends_with("Ext") => "/proc/net/netstat",
            _ => "/proc/net/snmp",
        }
    }
}

impl<const N: usize> From<[(&str, &str, u64); N]> for Counters {
    fn from(counters: [(&str, &str, u64); N]) -> Self {
        let counter = |(group, name, number): (&str, &str, u64)| ((group.into(), name.into()), number);
        Self(counters.into_iter().map(counter).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 5.10: no `MemErrors` of UDP yet.
    const OLD: &str = "\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens
Tcp: 1 200 120000 -1 39 7
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti
Udp: 100 2 30 90 28 0 2 0
";
    /// 7.x.
    const NEW: &str = "\
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 100 2 30 90 28 0 2 0 5
TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 0 12 13
";

    #[test]
    fn both_lines_of_each_group() {
        let (old, new) = (Counters::parse(OLD), Counters::parse(NEW));
        assert_eq!((old.get("Udp", "RcvbufErrors"), old.get("Udp", "MemErrors")), (Some(28), None));
        assert_eq!((new.get("Udp", "MemErrors"), new.get("TcpExt", "ListenOverflows")), (Some(5), Some(12)));
        assert_eq!(old.get("Tcp", "MaxConn"), None);
    }

    #[test]
    fn a_line_each_of_ipv6() {
        let counters =
            Counters::parse_v6("Ip6InReceives                   \t6738\nUdp6RcvbufErrors 3\nx 1\n");
        assert_eq!(counters, [("Ip6", "InReceives", 6738), ("Udp6", "RcvbufErrors", 3)].into());
        assert_eq!(Counters::file_of("Udp6"), "/proc/net/snmp6");
        assert_eq!(Counters::file_of("TcpExt"), "/proc/net/netstat");
        assert_eq!(Counters::file_of("Udp"), "/proc/net/snmp");
    }

    #[test]
    fn groups_that_do_not_fit_are_left_out() {
        assert_eq!(Counters::parse("Tcp: A\nUdp: 1\nUdp:"), Counters::default());
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "([A-Z][a-z]{1,4}6?:?[ \t\n0-9-]{0,6}){0,12}") {
            let _ = (Counters::parse(&text), Counters::parse_v6(&text));
        }
    }
}
