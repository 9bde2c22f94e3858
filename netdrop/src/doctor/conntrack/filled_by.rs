//! Who fills the table: the connections by source and by state, read only where it is filling up.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use super::{Part, Place, Unread};
use crate::counters::tracked::Tracked;
use crate::doctor::{Evidence, Remedy, Window};

/// Lines that are read, in order of their hash and so at random: a source with a hundredth of all is found among them for certain.
const LINES: u64 = 20_000;
/// The time that reading may take.
const PATIENCE: Duration = Duration::from_millis(40);
/// A file is asked for its time after so many lines.
const STEP: u64 = 256;
/// Sources and states that are named.
const NAMED: usize = 3;
/// A connection without a word for so long may be forgotten, and not sooner (RFC 5382, REQ-5), in seconds.
const ESTABLISHED: u64 = 7440;
/// Below, answers that take their time find their connection forgotten, in seconds.
const SHORTEST: u64 = 10;

/// The connections of a namespace whose table is three quarters full or more; nothing of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilledBy(pub Tracked);

impl Part for FilledBy {
    const FROM: &'static str = "/proc/net/nf_conntrack";
    const AT_END: bool = true;

    fn read(place: &Place) -> Result<Self, Unread> {
        let number = |name: &str| -> Option<u64> {
            place.text(&format!("/proc/sys/net/netfilter/{name}")).ok()?.trim().parse().ok()
        };
        let (Some(count), Some(most)) = (number("nf_conntrack_count"), number("nf_conntrack_max")) else {
            return Ok(Self::default());
        };
        if count.saturating_mul(4) < most.saturating_mul(3) {
            return Ok(Self::default());
        }
        // `/proc/net` itself is of the process's first thread.
        let file = File::open(place.path("/proc/thread-self/net/nf_conntrack"))
            .map_err(|error| Unread::io(Self::FROM, &error))?;
        let (mut file, start) = (BufReader::with_capacity(64 << 10, file), Instant::now());
        let (mut tracked, mut line) = (Tracked::default(), Vec::new());
        while tracked.read < LINES && (!tracked.read.is_multiple_of(STEP) || start.elapsed() < PATIENCE) {
            line.clear();
            match file.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => tracked.add(&String::from_utf8_lossy(&line)),
                Err(error) => return Err(Unread::io(Self::FROM, &error)),
            }
        }
        Ok(Self(tracked))
    }
}

/// Its leading sources and states; or why they aren't known.
pub fn told(window: &Window) -> Vec<Evidence> {
    let tracked = match window.now::<FilledBy>() {
        Ok(FilledBy(tracked)) => tracked,
        Err(unread) => return vec![Evidence::value("opened by", "not known", unread.to_string())],
    };
    if tracked.read == 0 {
        return Vec::new();
    }
    let from = format!("{}, {} connections", FilledBy::FROM, tracked.read);
    let sources = list(&Tracked::most(&tracked.sources), tracked.read);
    let states = list(&Tracked::most(&tracked.states), tracked.read);
    vec![Evidence::value("opened by", sources, from.clone()), Evidence::value("states", states, from)]
}

fn list<K: std::fmt::Display>(most: &[(K, u64)], of: u64) -> String {
    let one = |(name, count): &(K, u64)| format!("{name} {} %", count * 100 / of);
    most.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ")
}

/// Half the time for the state that a third of all are in: they are forgotten sooner.
pub fn sooner(window: &Window) -> Option<Remedy> {
    let FilledBy(tracked) = window.now().ok()?;
    let (state, count) = Tracked::most(&tracked.states).first().copied()?;
    let key = format!("net.netfilter.nf_conntrack_{}", timeout_of(state)?);
    let now = window.sysctl(&key).ok()?;
    let least = if state == "tcp ESTABLISHED" { ESTABLISHED } else { SHORTEST };
    let time = if state == "tcp ESTABLISHED" { least } else { (now / 2).max(least) };
    (count * 3 >= tracked.read && time < now).then(|| {
        let what = format!("Or forget connections in the state `{state}` after {time} seconds without a packet, and not after {now}.");
        Remedy::sysctl(window, what, &[(&key, &time)])
    })
}

/// The setting of the time that a state lasts (Documentation/networking/nf_conntrack-sysctl.rst).
fn timeout_of(state: &str) -> Option<String> {
    Some(match state.split_once(' ')? {
        // The second half of a simultaneous opening has the first's.
        ("tcp", "SYN_SENT2") => "tcp_timeout_syn_sent".to_owned(),
        ("tcp", "NONE") => return None,
        ("tcp", state) => format!("tcp_timeout_{}", state.to_lowercase()),
        ("udp", "stream") => "udp_timeout_stream".to_owned(),
        ("udp", _) => "udp_timeout".to_owned(),
        ("icmp", _) => "icmp_timeout".to_owned(),
        ("icmpv6", _) => "icmpv6_timeout".to_owned(),
        ("unknown", _) => "generic_timeout".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn a_table_is_read_only_where_it_fills() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        let write = |path: &str, text: &str| made_up::file(root.path(), path, text);
        assert_eq!(FilledBy::read(&place), Ok(FilledBy::default()));
        let line =
            "ipv4 2 udp 17 29 src=10.0.0.5 dst=10.0.0.9 sport=5 dport=53 [UNREPLIED] src=10.0.0.9 use=2\n";
        write("proc/thread-self/net/nf_conntrack", &line.repeat(600));
        write("proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
        write("proc/sys/net/netfilter/nf_conntrack_count", "749\n");
        assert_eq!(FilledBy::read(&place), Ok(FilledBy::default()));
        write("proc/sys/net/netfilter/nf_conntrack_count", "750\n");
        let FilledBy(tracked) = FilledBy::read(&place).unwrap();
        assert_eq!((tracked.read, tracked.states.get("udp unreplied")), (600, Some(&600)));
    }

    #[rstest::rstest]
    #[case("tcp TIME_WAIT", Some("tcp_timeout_time_wait"))]
    #[case("udp unreplied", Some("udp_timeout"))]
    #[case("unknown replied", Some("generic_timeout"))]
    #[case("tcp NONE", None)]
    fn states_have_their_times(#[case] state: &str, #[case] key: Option<&str>) {
        assert_eq!(timeout_of(state).as_deref(), key);
    }
}
