//! `udp-memory-full`: datagrams for which the memory of all UDP sockets together had no room (`udp_rmem_schedule`, net/ipv4/udp.c).

use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "udp-memory-full",
    area: Area::Udp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>()],
    run,
};

const SETTING: &str = "net.ipv4.udp_mem";
const EXPLAINED: [&str; 2] = ["PROTO_MEM", "__udp_enqueue_schedule_skb"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    // Since 5.14 (IPv4) and 5.17 (IPv6).
    let counters: Vec<Moved> =
        [window.delta("Udp", "MemErrors")?].into_iter().chain(window.delta("Udp6", "MemErrors")).collect();
    let lost: u64 = counters.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let delivered = ["Udp", "Udp6"].into_iter().filter_map(|group| window.delta(group, "InDatagrams").ok());
    let severity = Severity::of_loss(lost, delivered.map(|moved| moved.by()).sum());
    let sentence = format!("{lost} datagrams were dropped as UDP's memory of the whole host was used up.");
    let finding = Finding::new(severity, "UDP's memory", sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "Many sockets have long queues that nobody reads, or udp_mem was set too small (it counts pages, not bytes).",
        )
        .shown_by(counters.into_iter().filter(|moved| moved.by() > 0))
        .shown_by(window.setting(SETTING))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .remedy(Remedy::command("See which sockets hold it, the fullest queue first.", "ss -uamn | sort -rnk2 | head"))
        .caution("This memory can't be swapped out: leave the rest of the host enough.");
    let finding = match doubled(window) {
        Some(limits) => finding.remedy(Remedy::host_sysctl("Allow twice as much.", &[(SETTING, &limits)])),
        None => finding,
    };
    Ok(vec![finding])
}

/// Three numbers of pages: below the first nothing is watched, above the last nothing is taken.
fn doubled(window: &Window) -> Option<String> {
    let limits = window.now::<Sysctls>().ok()?.get(SETTING)?;
    let doubled = limits.split_ascii_whitespace().map(|number| Some(number.parse::<u64>().ok()? * 2));
    let doubled: Vec<String> = doubled.map(|number| Some(number?.to_string())).collect::<Option<_>>()?;
    Some(doubled.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(errors: u64) -> Made {
        let counters = |errors| Counters::from([("Udp", "MemErrors", errors), ("Udp", "InDatagrams", 5)]);
        let settings: Sysctls = [(SETTING, "100\t200\t300")].into_iter().collect();
        Made::default().part(counters(0), counters(errors)).part(Sysctls::default(), settings)
    }

    #[test]
    fn twice_as_much_is_offered() {
        let findings = made(50).check(&CHECK).unwrap();
        let commands: Vec<_> = findings[0].remedies.iter().flat_map(|remedy| &remedy.now).collect();
        assert_eq!(commands[1], "sysctl -w net.ipv4.udp_mem=\"200 400 600\"");
        assert_eq!(made(0).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn a_kernel_without_the_counter_says_so() {
        let made = Made::default()
            .part(Counters::default(), Counters::default())
            .part(Sysctls::default(), Sysctls::default());
        assert_eq!(made.check(&CHECK), Err("/proc/net/snmp: this kernel has no counter UdpMemErrors".into()));
    }
}
