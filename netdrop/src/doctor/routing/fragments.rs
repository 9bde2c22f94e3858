//! `routing-fragments-lost`: packets that can't be put together again (`ip_defrag`, `ip_expire`, `net/ipv4/ip_fragment.c`; `ipv6_frag_rcv`,
//! net/ipv6/reassembly.c; the memory's limit: `inet_frag_find`, `net/ipv4/inet_fragment.c`).

use super::{moved, sum, total};
use crate::counters::fragment_memory::{FragmentMemory, Waiting};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::{bytes, times};

pub const CHECK: Check = Check {
    name: "routing-fragments-lost",
    area: Area::Routing,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<FragmentMemory>(), source::<Sysctls>()],
    run,
};

/// What a version of IP is called, and how its counters and settings are.
struct Version {
    name: &'static str,
    group: &'static str,
    memory: &'static str,
    waiting: fn(&FragmentMemory) -> Waiting,
}

const VERSIONS: [Version; 2] = [
    Version { name: "IPv4", group: "Ip", memory: "net.ipv4.ipfrag_high_thresh", waiting: |memory| memory.v4 },
    Version {
        name: "IPv6",
        group: "Ip6",
        memory: "net.ipv6.ip6frag_high_thresh",
        waiting: |memory| memory.v6,
    },
];
const TIMED_OUT: [&str; 2] = ["FRAG_REASM_TIMEOUT", "ip_expire"];
const TOO_FAR: [&str; 2] = ["FRAG_TOO_FAR", "ip_frag_reinit"];
const DOUBLED: [&str; 1] = ["DUP_FRAG"];
const REFUSED: [&str; 1] = ["ip_defrag"];
/// How many others may come between: sixteen times the kernel's own 64 (`ipv4_frags_init_net`, `net/ipv4/ip_fragment.c`).
const DISTANCE: u64 = 1024;
/// The kernel's own limit is 4 MiB; sixteen times that is plenty for a host that isn't attacked.
const LARGEST: u64 = 64 << 20;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let memory = window.now::<FragmentMemory>()?;
    let mut findings = Vec::new();
    for (index, version) in VERSIONS.iter().enumerate() {
        let counters = moved(window, &[(version.group, "ReasmFails")]);
        // Without IPv6 there are no such counters.
        let counters = if index == 0 { counters? } else { counters.unwrap_or_default() };
        if total(&counters) > 0 {
            findings.push(of_version(window, version, (version.waiting)(memory), total(&counters)));
        }
    }
    Ok(findings)
}

fn of_version(window: &Window, version: &Version, waiting: Waiting, lost: u64) -> Finding {
    let whole = sum(window, &[(version.group, "ReasmOKs")]);
    let names = [(version.group, "ReasmFails"), (version.group, "ReasmTimeout"), (version.group, "ReasmOKs")];
    let counters = moved(window, &names).unwrap_or_default();
    let limit = window.sysctl(version.memory).unwrap_or(u64::MAX);
    let used = format!("{} in {} packets, of {limit}", waiting.memory, waiting.packets);
    let finding = Finding::new(
        Severity::of_loss(lost, whole),
        format!("fragments of {}", version.name),
        format!("Fragments of {} couldn't be put together again: {}.", version.name, times(lost)),
    )
    .losing(window.rate(lost))
    .shown_by(counters)
    .shown_by([Evidence::value("bytes that wait", used, FragmentMemory::FROM)]);
    let timeouts = sum(window, &[(version.group, "ReasmTimeout")]);
    // A new packet is refused as soon as there is more than the limit.
    if waiting.memory.saturating_mul(4) >= limit.saturating_mul(3) {
        return full(window, finding, version, limit);
    }
    if window.rows_of(&TOO_FAR).next().is_some() {
        return too_far(window, finding);
    }
    let (explained, cause): (&[&'static str], _) = if timeouts.saturating_mul(2) >= lost {
        (
            &TIMED_OUT,
            "One of their fragments never came, until the time for it was over: it was lost on the way, a firewall lets only the first one pass, or several paths are chosen by ports.",
        )
    } else {
        (
            &DOUBLED,
            "Fragments overlap, or come twice: the network doubles packets, the sender uses the numbers of its packets again too soon, or somebody forges them.",
        )
    };
    finding
        .because(Certainty::Likely, cause)
        .shown_by(window.drops_of(explained))
        .explains(explained)
        .remedy(Remedy::command(
            "See whose they are.",
            "netdrop watch --reason FRAG_REASM_TIMEOUT,DUP_FRAG --by src,dst --duration 10s",
        ))
        .remedy(Remedy::advice(
            "Have their sender avoid fragments: a smaller MTU or MSS, datagrams that fit (DNS: an EDNS buffer of 1232); and have firewalls on the way pass fragments.",
        ))
        .caution("Nothing at the receiver brings back what is lost: a longer time only holds more memory.")
}

fn full(window: &Window, finding: Finding, version: &Version, limit: u64) -> Finding {
    let enough = limit.saturating_mul(4).clamp(4 << 20, LARGEST);
    let remedy = if enough > limit {
        let what = format!("Let fragments take {}.", bytes(enough));
        Remedy::sysctl(window, what, &[(version.memory, &enough)])
    } else {
        Remedy::advice(format!(
            "{} are more than fragments need: have whose they are send fewer or none (a smaller MTU or MSS), and stop them at the edge if nobody wants them.",
            bytes(limit)
        ))
    };
    finding
        .because(
            Certainty::Likely,
            "What waits for missing fragments has used up the memory for it: those of new packets are dropped.",
        )
        .shown_by(window.drops_of(&REFUSED))
        .explains(&REFUSED)
        .remedy(remedy)
        .caution("Somebody who sends single fragments fills any memory: see whose they are before (`netdrop watch --reason FRAG_REASM_TIMEOUT --by src`).")
}

fn too_far(window: &Window, finding: Finding) -> Finding {
    finding
        .because(
            Certainty::Likely,
            "Their sender sends so many others meanwhile that the kernel takes the missing fragments for lost: they are reordered, by parallel links for example, or indeed lost, at a high rate.",
        )
        .shown_by(window.drops_of(&TOO_FAR))
        .explains(&TOO_FAR)
        .remedy(Remedy::sysctl(
            window,
            format!("Wait while up to {DISTANCE} others of the same sender come between."),
            &[("net.ipv4.ipfrag_max_dist", &DISTANCE)],
        ))
        .caution("With many others between, numbers of packets come again, and fragments of different packets may be joined; a checksum of 16 bits then lets one in 65,536 pass.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(fails: u64, timeouts: u64, memory: u64) -> Made {
        let counters = |by: u64| {
            Counters::from([
                ("Ip", "ReasmFails", 5 + by * fails),
                ("Ip", "ReasmTimeout", by * timeouts),
                ("Ip", "ReasmOKs", by * 800),
                ("Ip6", "ReasmFails", 3),
            ])
        };
        let waiting =
            FragmentMemory { v4: Waiting { packets: memory / 1000, memory }, ..FragmentMemory::default() };
        let settings: Sysctls = [("net.ipv4.ipfrag_high_thresh", 4_194_304)].into_iter().collect();
        Made::default()
            .part(counters(0), counters(1))
            .part(FragmentMemory::default(), waiting)
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn the_rest_never_comes() {
        let rows = vec![row("FRAG_REASM_TIMEOUT", "ip_expire", "eth0", 40)];
        assert_snapshot!(made(40, 40, 0).drops(rows).told(&CHECK));
    }

    #[test]
    fn the_memory_is_full() {
        assert_snapshot!(made(400, 20, 4_194_000).told(&CHECK));
    }

    #[rstest::rstest]
    #[case(32 << 20, &["sysctl -w net.ipv4.ipfrag_high_thresh=67108864"])]
    #[case(64 << 20, &[])]
    #[case(1 << 30, &[])]
    fn a_command_only_raises(#[case] limit: u64, #[case] now: &[&str]) {
        let settings: Sysctls = [("net.ipv4.ipfrag_high_thresh", limit)].into_iter().collect();
        let findings = made(400, 20, limit).part(Sysctls::default(), settings).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, now);
    }

    #[rstest::rstest]
    #[case("FRAG_TOO_FAR", "ipfrag_max_dist=1024")]
    #[case("DUP_FRAG", "--duration 10s")]
    fn drops_tell_causes_apart(#[case] reason: &str, #[case] command: &str) {
        let findings = made(40, 0, 0).drops(vec![row(reason, "f", "eth0", 40)]).check(&CHECK).unwrap();
        assert!(findings[0].remedies[0].now[0].ends_with(command), "{findings:?}");
        assert!(findings[0].explains.contains(&reason));
    }

    #[test]
    fn all_put_together_is_nothing() {
        assert_eq!(made(0, 0, 4_194_304).check(&CHECK), Ok(Vec::new()));
    }
}
