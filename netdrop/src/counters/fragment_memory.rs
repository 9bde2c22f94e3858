//! What waits to be put together again: the lines of fragments in `/proc/net/sockstat` and `sockstat6` (`net/ipv4/proc.c`, `net/ipv6/proc.c`).

use super::sockstat::Sockstat;

/// Fragments of each version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FragmentMemory {
    /// IPv4's.
    pub v4: Waiting,
    /// IPv6's; nothing without it.
    pub v6: Waiting,
}

/// Packets of which parts are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many packets.
    pub packets: u64,
    /// The bytes that their parts take.
    pub memory: u64,
}

impl FragmentMemory {
    /// `FRAG: inuse 3 memory 7296`, `FRAG6: inuse 0 memory 0`. What isn't there is zero.
    pub fn parse(sockstat: &str, sockstat6: &str) -> Self {
        Self { v4: waiting(sockstat, "FRAG"), v6: waiting(sockstat6, "FRAG6") }
    }
}

fn waiting(text: &str, protocol: &str) -> Waiting {
    let sockstat = Sockstat::parse(text);
    let number = |name| sockstat.get(protocol, name).unwrap_or(0);
    Waiting { packets: number("inuse"), memory: number("memory") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same from 5.10 to 7.x; UDPLITE's line is gone in the newest.
    const OF_IPV4: &str = "\
sockets: used 19
TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 111
UDP: inuse 0 mem 0
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 3 memory 7296
";
    const OF_IPV6: &str = "TCP6: inuse 1\nUDP6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 1 memory 2432\n";

    #[test]
    fn both_versions() {
        let expected = FragmentMemory {
            v4: Waiting { packets: 3, memory: 7296 },
            v6: Waiting { packets: 1, memory: 2432 },
        };
        assert_eq!(FragmentMemory::parse(OF_IPV4, OF_IPV6), expected);
        assert_eq!(FragmentMemory::parse("FRAG: memory\n", ""), FragmentMemory::default());
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(FRAG6?:?|inuse|memory|[0-9]{1,22}|[ \n])*") {
            let _ = FragmentMemory::parse(&text, &text);
        }
    }
}
