//! How many sockets there are, and the pages that they hold: `/proc/net/sockstat` (`sockstat_seq_show`, `net/ipv4/proc.c`).
//!
//! `inuse` and `tw` are the namespace's; `mem` (pages), `orphan` and `alloc` are the whole host's.

use std::collections::HashMap;

/// Numbers by protocol and name: (`TCP`, `mem`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockstat(HashMap<(String, String), u64>);

impl Sockstat {
    /// A line a protocol: its name, then names and numbers in turn. What is no number is left out.
    pub fn parse(text: &str) -> Self {
        let mut numbers = HashMap::new();
        for (protocol, rest) in text.lines().filter_map(|line| line.split_once(':')) {
            let mut words = rest.split_ascii_whitespace();
            while let (Some(name), Some(number)) = (words.next(), words.next()) {
                if let Ok(number) = number.parse() {
                    numbers.insert((protocol.to_owned(), name.to_owned()), number);
                }
            }
        }
        Self(numbers)
    }

    /// A number; absent where this kernel tells none.
    pub fn get(&self, protocol: &str, name: &str) -> Option<u64> {
        self.0.get(&(protocol.to_owned(), name.to_owned())).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_numbers_in_turn() {
        let text = "sockets: used 98\nTCP: inuse 5 orphan 1 tw 12 alloc 8 mem 111\nUDP: inuse 1 mem 3 new\nFRAG: inuse x memory 0\n";
        let sockstat = Sockstat::parse(text);
        let numbers = [("TCP", "mem"), ("TCP", "orphan"), ("UDP", "mem"), ("UDP", "new"), ("FRAG", "inuse")];
        let read = numbers.map(|(protocol, name)| sockstat.get(protocol, name));
        assert_eq!(read, [Some(111), Some(1), Some(3), None, None]);
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "([A-Z]{1,4}:?[ \t\n0-9a-z-]{0,9}){0,9}") {
            let _ = Sockstat::parse(&text);
        }
    }
}
