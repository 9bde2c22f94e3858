//! Whose connections are tracked, and in which states: `/proc/net/nf_conntrack` (`net/netfilter/nf_conntrack_standalone.c`, `ct_seq_show`),
//! added up line by line, so that a table of any size takes little memory.

use std::collections::HashMap;
use std::net::IpAddr;

/// Sources that are told apart; what comes from others beyond them is counted, and not whose it is.
const SOURCES: usize = 4096;

/// Connections, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracked {
    /// How many were read.
    pub read: u64,
    /// By who opened them.
    pub sources: HashMap<IpAddr, u64>,
    /// By protocol and state: `tcp TIME_WAIT`, `udp unreplied`.
    pub states: HashMap<String, u64>,
}

impl Tracked {
    /// Adds a line: `ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… [UNREPLIED] src=… [ASSURED] …`. One that isn't whole is left out.
    pub fn add(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(protocol) = words.nth(2) else { return };
        let mut words = words.skip(1).peekable();
        // Seconds to live, which those in hardware don't have.
        words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let state = words.next_if(|word| !word.contains('=') && !word.starts_with('['));
        let Some(source) = words.find_map(|word| word.strip_prefix("src=")?.parse::<IpAddr>().ok()) else {
            return;
        };
        let is = |mark| line.contains(mark);
        let state = state.unwrap_or(if is("[UNREPLIED]") {
            "unreplied"
        } else if is("[ASSURED]") {
            "stream"
        } else {
            "replied"
        });
        self.read += 1;
        *self.states.entry(format!("{protocol} {state}")).or_default() += 1;
        if self.sources.len() < SOURCES || self.sources.contains_key(&source) {
            *self.sources.entry(source).or_default() += 1;
        }
    }

    /// The most frequent of these, the most first; by name where they are as many.
    pub fn most<K: Ord>(counts: &HashMap<K, u64>) -> Vec<(&K, u64)> {
        let mut list: Vec<_> = counts.iter().map(|(key, count)| (key, *count)).collect();
        list.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.0.0.1 sport=40000 dport=443 src=10.0.0.1 dst=10.0.0.5 sport=443 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 ESTABLISHED src=10.0.0.5 dst=10.0.0.1 sport=40001 dport=443 src=10.0.0.1 dst=10.0.0.5 sport=443 dport=40001 [HW_OFFLOAD] mark=0 use=2
ipv4     2 udp      17 29 src=10.0.0.5 dst=10.0.0.9 sport=5 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.5 sport=53 dport=5 mark=0 use=2
ipv6     10 udp      17 119 src=fd00:0000:0000:0000:0000:0000:0000:0001 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=1 dport=2 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd00:0000:0000:0000:0000:0000:0000:0001 sport=2 dport=1 [ASSURED] use=1
ipv4     2 icmp     1 9 src=10.0.0.7 dst=10.0.0.8 type=8 code=0 id=3 src=10.0.0.8 dst=10.0.0.7 type=0 code=0 id=3 mark=0 use=1
ipv4     2 tcp
";

    #[test]
    fn connections_are_added_up() {
        let mut tracked = Tracked::default();
        TEXT.lines().for_each(|line| tracked.add(line));
        assert_eq!(tracked.read, 5);
        let states = Tracked::most(&tracked.states);
        let states: Vec<_> = states.iter().map(|(state, count)| (state.as_str(), *count)).collect();
        assert_eq!(states[..2], [("tcp ESTABLISHED", 2), ("icmp replied", 1)]);
        assert_eq!(states[2..], [("udp stream", 1), ("udp unreplied", 1)]);
        let (address, count) = Tracked::most(&tracked.sources)[0];
        assert_eq!((address.to_string(), count), ("10.0.0.5".into(), 3));
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "[a-z0-9=. \\[\\]]{0,120}") {
            let mut tracked = Tracked::default();
            tracked.add(&text);
            prop_assert!(tracked.read <= 1);
        }
    }
}
