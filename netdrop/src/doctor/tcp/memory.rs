//! `tcp-memory-pressure`: the memory of all TCP sockets of the host, or the connections that no process has any more, are at their
//! limit (`tcp_enter_memory_pressure`, `tcp_check_oom`, `net/ipv4/tcp.c`): buffers shrink, and connections are reset.

use super::{rise, risen, three};
use crate::doctor::parts::{Counters, Sockstat, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-memory-pressure",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<Sockstat>()],
    run,
};

const MEMORY: &str = "net.ipv4.tcp_mem";
const ORPHANS: &str = "net.ipv4.tcp_max_orphans";

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let aborted = window.delta("TcpExt", "TCPAbortOnMemory")?;
    let counters = risen(window, &["TCPAbortOnMemory", "TCPMemoryPressures", "TCPMemoryPressuresChrono"]);
    let sockstat = window.now::<Sockstat>().ok();
    let of_tcp = |name| sockstat.and_then(|sockstat| sockstat.get("TCP", name)).unwrap_or(0);
    let (pages, orphans) = (of_tcp("mem"), of_tcp("orphan"));
    // A container's namespace doesn't show the host's limits.
    let limits = three(window, MEMORY).filter(|limits| limits[2] > 0);
    let is_pressed = limits.is_some_and(|[_, pressure, _]| pages >= pressure);
    let most_orphans = window.sysctl(ORPHANS).ok();
    if counters.is_empty() && !is_pressed {
        return Ok(Vec::new());
    }
    let (severity, sentence) = if aborted.by() > 0 {
        let severity = Severity::of_loss(
            aborted.by(),
            rise(window, "Tcp", "PassiveOpens") + rise(window, "Tcp", "ActiveOpens"),
        );
        (
            severity,
            format!(
                "{} reset for want of memory.",
                counted(aborted.by(), "connection was", "connections were")
            ),
        )
    } else {
        (Severity::Warning, "TCP's memory of the whole host is short: buffers are kept small.".into())
    };
    // Reset without pressure: there are too many without a process; of bad ones the kernel takes half or a quarter of the limit for enough (`tcp_out_of_resources`).
    let is_orphans =
        aborted.by() > 0 && !is_pressed && !counters.iter().any(|moved| moved.counter.ends_with("Pressures"));
    let finding = Finding::new(severity, "TCP's memory", sentence)
        .losing(aborted.rate)
        .shown_by(counters)
        .shown_by([
            Evidence::value("TCP: mem", format!("{pages} pages"), Sockstat::FROM),
            Evidence::value("TCP: orphan", orphans, Sockstat::FROM),
        ])
        .shown_by([window.setting(MEMORY), window.setting(ORPHANS)].into_iter().flatten());
    Ok(vec![if is_orphans { of_orphans(finding, most_orphans) } else { of_memory(finding, limits) }])
}

fn of_memory(finding: Finding, limits: Option<[u64; 3]>) -> Finding {
    let finding = finding
        .because(Certainty::Likely, "Many connections hold data that isn't read or not acknowledged, or tcp_mem was set too small (it counts pages, not bytes).")
        .remedy(Remedy::command("See which connections hold it: skmem's r, w and f are bytes.", "ss -tmnp | head -50"))
        .caution("This memory can't be swapped out: beyond a quarter of the host's, others run out of theirs.");
    let Some(limits) = limits else { return finding };
    let doubled = limits.map(|pages| (pages * 2).to_string()).join(" ");
    finding.remedy(Remedy::host_sysctl("Allow twice as much.", &[(MEMORY, &doubled)]))
}

fn of_orphans(finding: Finding, most: Option<u64>) -> Finding {
    let finding = finding
        .because(Certainty::Likely, "Processes close connections whose peers don't take the rest of the data; the kernel keeps only so many of them.")
        .caution("Each of them takes up to 64 KiB that can't be swapped out. Where peers vanish on purpose, resets are right.");
    let Some(most) = most else {
        return finding.remedy(Remedy::advice("Allow more of them: net.ipv4.tcp_max_orphans of the host."));
    };
    let more = (most * 4).next_power_of_two().max(4096);
    finding.remedy(Remedy::host_sysctl("Keep more of them.", &[(ORPHANS, &more)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(aborted: u64, pressures: u64, pages: u64) -> Made {
        let counters = |aborted, pressures| {
            Counters::from([
                ("TcpExt", "TCPAbortOnMemory", aborted),
                ("TcpExt", "TCPMemoryPressures", pressures),
            ])
        };
        let sockstat = Sockstat::parse(&format!("TCP: inuse 5 orphan 9 tw 0 alloc 9 mem {pages}\n"));
        let settings: Sysctls = [(MEMORY, "100\t200\t300"), (ORPHANS, "16")].into_iter().collect();
        Made::default()
            .part(counters(2, 1), counters(2 + aborted, 1 + pressures))
            .part(sockstat.clone(), sockstat)
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn memory_and_orphans_are_told_apart() {
        let remedy = |made: &Made| {
            let finding = made.check(&CHECK).unwrap().remove(0);
            (finding.severity, finding.remedies.last().unwrap().now[0].clone())
        };
        let memory = "sysctl -w net.ipv4.tcp_mem=\"200 400 600\"".to_owned();
        assert_eq!(remedy(&made(0, 3, 150)), (Severity::Warning, memory.clone()));
        assert_eq!(remedy(&made(0, 0, 250)), (Severity::Warning, memory.clone()));
        assert_eq!(remedy(&made(20, 3, 250)), (Severity::Critical, memory));
        assert_eq!(
            remedy(&made(20, 0, 20)),
            (Severity::Critical, "sysctl -w net.ipv4.tcp_max_orphans=4096".into())
        );
        assert_eq!(made(0, 0, 150).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn in_a_container_the_limits_are_not_seen() {
        let findings = made(20, 0, 20).part(Sysctls::default(), Sysctls::default()).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, [""; 0]);
    }
}
