//! What the kernel counts of TCP itself: `/proc/net/snmp` (`net/ipv4/proc.c`; RFC 4022), and how many connections there are.

use std::fs;
use std::io;
use std::path::Path;

use crate::model::tcp::HostCounts;

/// Reads the counters of the caller's network namespace below `root`, which is `/` outside tests.
///
/// # Errors
/// When the file can't be read.
pub fn read(root: &Path) -> io::Result<HostCounts> {
    Ok(parse(&fs::read_to_string(root.join("proc/net/snmp"))?))
}

/// A protocol has two lines: names, then numbers in the same order. What isn't there is zero.
pub fn parse(text: &str) -> HostCounts {
    let mut lines =
        text.lines().filter_map(|line| line.strip_prefix("Tcp:")).map(str::split_ascii_whitespace);
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return HostCounts::default() };
    let mut counts = HostCounts::default();
    for (name, number) in names.zip(numbers) {
        let place = match name {
            "OutSegs" => &mut counts.segments_out,
            "RetransSegs" => &mut counts.segments_retransmitted,
            "InSegs" => &mut counts.segments_in,
            "OutRsts" => &mut counts.resets_out,
            "EstabResets" => &mut counts.established_resets,
            "ActiveOpens" => &mut counts.active_opens,
            "PassiveOpens" => &mut counts.passive_opens,
            "AttemptFails" => &mut counts.attempt_fails,
            _ => continue,
        };
        *place = number.parse().unwrap_or(0);
    }
    counts
}

/// How many connections there are in the caller's network namespace; absent where that can't be read. Listeners and what waits
/// in `TIME_WAIT` are none.
pub fn connections(root: &Path) -> Option<u64> {
    let of = |file: &str| Some(count(&fs::read_to_string(root.join("proc/net").join(file)).ok()?));
    // Without IPv6 there is one file.
    Some(of("tcp")? + of("tcp6").unwrap_or(0))
}

/// The fourth column is the state (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`).
fn count(text: &str) -> u64 {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    let states = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(3));
    states.filter(|state| ![TIME_WAIT, LISTEN].contains(state)).map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 39 7 2 1 3 1400 1500 12 0 44 0
Udp: InDatagrams NoPorts
Udp: 1 2
";

    #[test]
    fn the_kernels_two_lines() {
        let expected = HostCounts {
            segments_out: 1500,
            segments_retransmitted: 12,
            segments_in: 1400,
            resets_out: 44,
            established_resets: 1,
            active_opens: 39,
            passive_opens: 7,
            attempt_fails: 2,
        };
        assert_eq!(parse(SNMP), expected);
        assert_eq!(parse("Tcp: OutSegs"), HostCounts::default());
    }

    #[test]
    fn listeners_and_what_waits_are_no_connections() {
        let text = "  sl  local_address rem_address   st tx_queue\n\
                    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                    1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000\n\
                    2: 0100007F:1F90 0100007F:9C41 06 00000000:00000000\n\
                    3: 0100007F:1F90 0100007F:9C42 08 00000000:00000000\n";
        assert_eq!(count(text), 2);
    }

    proptest! {
        #[test]
        fn any_text_gives_numbers(text in ".*") {
            let _ = (parse(&text), count(&text));
        }
    }
}
