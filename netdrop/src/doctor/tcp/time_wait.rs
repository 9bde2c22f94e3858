//! `tcp-time-wait-overflow`: connections that were closed without `TIME_WAIT`, as there are `tcp_max_tw_buckets` of them
//! (`inet_twsk_alloc`, `net/ipv4/inet_timewait_sock.c`; `tcp_time_wait`, `net/ipv4/tcp_minisocks.c`).

use super::PortsInUse;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-time-wait-overflow",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<PortsInUse>()],
    run,
};

const SETTING: &str = "net.ipv4.tcp_max_tw_buckets";
/// `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`): each lasts so many seconds.
const LASTS_S: u64 = 60;
/// Each takes some 250 bytes: this is a quarter of a gigabyte, and more than there are ports for sixteen destinations.
const LARGEST: u64 = 1 << 20;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let overflows = window.delta("TcpExt", "TCPTimeWaitOverflow")?;
    if overflows.by() == 0 {
        return Ok(Vec::new());
    }
    let limit = window.sysctl(SETTING)?;
    let waiting = window.now::<PortsInUse>().ok().and_then(|ports| ports.limits.time_wait);
    let a_second = overflows.by().div_ceil(window.lasted.as_secs().max(1));
    let enough = (limit + a_second * LASTS_S).max(limit * 2).max(4096).next_power_of_two().min(LARGEST);
    let sentence = format!(
        "{} closed without TIME_WAIT, as there were {limit} of them.",
        counted(overflows.by(), "connection was", "connections were")
    );
    let severity = Severity::of_loss(overflows.by(), 0).min(Severity::Warning);
    let finding = Finding::new(severity, "TIME_WAIT", sentence)
        .losing(overflows.rate)
        .because(Certainty::Certain, "This side closes more connections a minute than tcp_max_tw_buckets allows for. Late segments of the old connections may reach new ones on the same ports, and a peer whose last segment is lost gets a reset.")
        .shown_by([overflows])
        .shown_by(waiting.map(|count| Evidence::value("TIME_WAIT", count, "/proc/net/sockstat")))
        .shown_by(window.setting(SETTING))
        .caution("Each takes some 250 bytes that can't be swapped out. A small limit doesn't free ports any sooner for who needs them safely.");
    let what = "Allow as many as are closed within their sixty seconds.";
    Ok(vec![if enough > limit {
        finding.remedy(Remedy::sysctl(window, what, &[(SETTING, &enough)]))
    } else {
        finding.remedy(Remedy::advice(
            "Keep connections open for more than one request, or have the other side close first.",
        ))
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn made(overflows: u64, limit: u64) -> Made {
        let counters = |count| Counters::from([("TcpExt", "TCPTimeWaitOverflow", count)]);
        let settings: Sysctls = [(SETTING, limit)].into_iter().collect();
        Made::default()
            .part(counters(3), counters(3 + overflows))
            .part(Sysctls::default(), settings)
            .part(PortsInUse::default(), PortsInUse::default())
    }

    #[test]
    fn so_many_as_are_closed_in_a_minute() {
        let commands = |overflows, limit| {
            made(overflows, limit).check(&CHECK).unwrap().remove(0).remedies[0].now.clone()
        };
        // A thousand a second.
        assert_eq!(commands(5000, 8192), ["sysctl -w net.ipv4.tcp_max_tw_buckets=131072"]);
        assert_eq!(commands(6, 4), ["sysctl -w net.ipv4.tcp_max_tw_buckets=4096"]);
        assert_eq!(commands(6, LARGEST), [""; 0]);
        assert_eq!(made(0, 4).check(&CHECK), Ok(Vec::new()));
    }
}
