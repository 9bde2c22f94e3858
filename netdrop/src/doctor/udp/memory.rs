//! `udp-memory-full`: datagrams for which the memory of all UDP sockets together had no room (`udp_rmem_schedule`, `net/ipv4/udp.c`).

use super::{TRUESIZE, of_all, rise, risen};
use crate::doctor::parts::{Counters, Sockstat, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::model::Row;
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "udp-memory-full",
    area: Area::Udp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<Sockstat>()],
    run,
};

const SETTING: &str = "net.ipv4.udp_mem";
const PAGE: u64 = 4096;
/// A limit that is smaller by more was set on purpose, or in another unit: it is to be thought over.
const MOST_TIMES: u64 = 64;
const EXPLAINED: [&str; 2] = ["PROTO_MEM", "__udp_enqueue_schedule_skb"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    // Since 5.14 (IPv4) and 5.17 (IPv6).
    let counters = of_all(window, "MemErrors")?;
    // 6.18 drops them without counting.
    let lost = counters.iter().map(Moved::by).sum::<u64>().max(refused(window));
    let used = window.now::<Sockstat>().ok().and_then(|sockstat| sockstat.get("UDP", "mem"));
    let is_nearly_full = matches!((used, most(window)), (Some(used), Some(most)) if used * 10 >= most * 9);
    let (severity, sentence) = match lost {
        0 if !is_nearly_full => return Ok(Vec::new()),
        0 => (Severity::Warning, "UDP's memory of the whole host is nearly used up.".to_owned()),
        _ => (
            Severity::of_loss(lost, rise(window, "InDatagrams")),
            format!(
                "{} dropped as UDP's memory of the whole host was used up.",
                counted(lost, "datagram was", "datagrams were")
            ),
        ),
    };
    let finding = Finding::new(severity, "UDP's memory", sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "Many sockets have long queues that nobody reads, or udp_mem was set too small (it counts pages, not bytes).",
        )
        .shown_by(risen(counters))
        .shown_by(used.map(|pages| Evidence::value("UDP: mem", format!("{pages} pages"), Sockstat::FROM)))
        .shown_by(window.setting(SETTING))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .remedy(Remedy::command("See which sockets hold it, the fullest queue first.", "ss -uamn | sort -rnk2 | head"))
        .caution("This memory can't be swapped out: leave the rest of the host enough.");
    let larger = larger(window, lost);
    let larger = larger.map(|limits| Remedy::host_sysctl("Allow more.", &[(SETTING, &limits)]));
    Ok(vec![larger.into_iter().fold(finding, Finding::remedy)])
}

/// The datagrams that netdrop saw dropped for it; TCP has the same reason.
fn refused(window: &Window) -> u64 {
    const UDP: u8 = 17;
    let of_udp = |row: &&Row| row.protocol.is_some_and(|protocol| protocol.ip == Some(UDP));
    window.rows_of(&["PROTO_MEM"]).filter(of_udp).map(|row| row.counts.packets).sum()
}

/// The last of the three limits, in pages. A container's namespace doesn't show them.
fn most(window: &Window) -> Option<u64> {
    window.now::<Sysctls>().ok()?.get(SETTING)?.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Three numbers of pages, so many times as large that twice what was lost would have found room (each socket and CPU holds some in reserve), and
/// twice at least: below the first nothing is watched, above the last nothing is taken.
fn larger(window: &Window, lost: u64) -> Option<String> {
    let most = most(window)?;
    let lacking = lost.saturating_mul(2 * TRUESIZE) / PAGE;
    let times = (most + lacking).div_ceil(most.max(1)).clamp(2, MOST_TIMES);
    let limits = window.now::<Sysctls>().ok()?.get(SETTING)?;
    let larger = limits.split_ascii_whitespace().map(|pages| Some(pages.parse::<u64>().ok()? * times));
    let larger: Vec<String> = larger.map(|number| Some(number?.to_string())).collect::<Option<_>>()?;
    Some(larger.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::{Made, row};
    use crate::model::Protocol;

    fn made(errors: u64) -> Made {
        let counters = |errors| Counters::from([("Udp", "MemErrors", errors), ("Udp", "InDatagrams", 5)]);
        let settings: Sysctls = [(SETTING, "100\t200\t300")].into_iter().collect();
        let pages = Sockstat::parse("UDP: inuse 1 mem 200\n");
        Made::default()
            .part(counters(0), counters(errors))
            .part(Sysctls::default(), settings)
            .part(pages.clone(), pages)
    }

    #[test]
    fn memory_that_is_nearly_used_up_is_told_before_anything_is_lost() {
        let pages = Sockstat::parse("UDP: inuse 1 mem 270\n");
        let findings = made(0).part(pages.clone(), pages).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(findings[0].sentence.contains("nearly"), "{findings:?}");
    }

    #[test]
    fn twice_as_much_is_offered() {
        let findings = made(50).check(&CHECK).unwrap();
        let commands: Vec<_> = findings[0].remedies.iter().flat_map(|remedy| &remedy.now).collect();
        assert_eq!(commands[1], "sysctl -w net.ipv4.udp_mem=\"200 400 600\"");
        assert_eq!(made(0).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn what_the_kernel_drops_uncounted_is_lost_too() {
        let of = |ip| Row {
            protocol: Some(Protocol { ethertype: 0x0800, ip: Some(ip) }),
            ..row("PROTO_MEM", "__udp_enqueue_schedule_skb", "lo", 400)
        };
        let findings = made(0).drops(vec![of(17), of(6)]).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("400 datagrams were dropped"), "{findings:?}");
        assert_eq!(made(0).drops(vec![of(6)]).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn a_kernel_without_the_counter_says_so() {
        let made = Made::default()
            .part(Counters::default(), Counters::default())
            .part(Sysctls::default(), Sysctls::default());
        assert_eq!(made.check(&CHECK), Err("/proc/net/snmp: this kernel has no counter UdpMemErrors".into()));
    }
}
