//! `tcp-ports-exhausted`: nearly all local ports towards one destination are taken, by connections or by `TIME_WAIT`: `connect(2)` fails
//! with `EADDRNOTAVAIL` then (`__inet_hash_connect`, `net/ipv4/inet_hashtables.c`). No counter tells of it.

use super::PortsInUse;
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::model::tcp::PortPressure;

pub const CHECK: Check = Check {
    name: "tcp-ports-exhausted",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<PortsInUse>(), source::<Sysctls>()],
    run,
};

const RANGE: &str = "net.ipv4.ip_local_port_range";
const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";
const REUSE: &str = "net.ipv4.tcp_tw_reuse";
const TIMESTAMPS: &str = "net.ipv4.tcp_timestamps";
/// Four in five: a burst, or a minute's growth, takes the rest.
const NEARLY: u32 = 80;
const FULL: u32 = 98;
/// Services that are known by name have ports below; so have most that their administrators chose (IANA's are below 49152).
const FIRST: u64 = 15_000;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let ports = window.now::<PortsInUse>()?;
    let findings = ports.pressure.iter().filter_map(|pair| {
        // What may be taken again isn't taken.
        let used =
            if is_reused(window, pair) { pair.used - pair.time_wait.min(pair.used) } else { pair.used };
        let percent = u64::from(used) * 100 / u64::from(pair.available.max(1));
        let is_near = pair.available > 0 && percent >= NEARLY.into();
        is_near.then(|| of_pair(window, ports, pair, used, percent))
    });
    Ok(findings.collect())
}

/// Whether ports in `TIME_WAIT` may be taken again after a second: `tcp_twsk_unique` (`net/ipv4/tcp_ipv4.c`) wants timestamps, and by
/// default (2) the loopback.
fn is_reused(window: &Window, pair: &PortPressure) -> bool {
    let is_loopback =
        pair.local.to_canonical().is_loopback() || pair.remote.address.to_canonical().is_loopback();
    let reuse = window.sysctl(REUSE).unwrap_or(0);
    let is_on = reuse == 1 || reuse == 2 && is_loopback;
    is_on && window.sysctl(TIMESTAMPS).is_ok_and(|value| value > 0)
}

fn of_pair(window: &Window, ports: &PortsInUse, pair: &PortPressure, used: u32, percent: u64) -> Finding {
    let to = match pair.remote.port {
        Some(port) => std::net::SocketAddr::new(pair.remote.address, port).to_string(),
        None => pair.remote.address.to_string(),
    };
    let severity = if percent >= FULL.into() { Severity::Critical } else { Severity::Warning };
    let sentence = format!(
        "{used} of {} local ports towards {to} are taken; when all are, connect(2) fails.",
        pair.available
    );
    let is_waiting = pair.time_wait * 2 >= used && !is_reused(window, pair);
    let cause = if is_waiting {
        "Connections are opened and closed faster than TIME_WAIT, which keeps each port for a minute, lets them go."
    } else {
        "So many connections are open at the same time: a pool without a limit, or connections that nobody closes."
    };
    let mut finding = Finding::new(severity, format!("connections from {} to {to}", pair.local), sentence)
        .because(Certainty::Certain, cause)
        .shown_by([
            Evidence::value("ports taken", pair.used, PortsInUse::FROM),
            Evidence::value("in TIME_WAIT", pair.time_wait, PortsInUse::FROM),
        ])
        .shown_by([RANGE, REUSE, TIMESTAMPS].into_iter().filter_map(|key| window.setting(key)))
        .caution("tcp_tw_recycle, which old guides name, is no answer: it dropped clients behind NAT, and is gone since 4.12. tcp_tw_reuse is for the side that connects, and needs timestamps on both sides. tcp_fin_timeout doesn't shorten TIME_WAIT.");
    let has_timestamps = window.sysctl(TIMESTAMPS).is_ok_and(|value| value > 0);
    if is_waiting && has_timestamps {
        let what = "Let new connections take ports in TIME_WAIT again after a second.";
        finding = finding.remedy(Remedy::sysctl(window, what, &[(REUSE, &1)]));
    }
    wider(window, ports).into_iter().fold(finding, Finding::remedy).remedy(Remedy::advice(
        "Keep connections open for many requests (keep-alive, a pool with a limit), have the other side close first, or use more addresses on either side.",
    ))
}

/// A larger range, without the ports in it that somebody listens on: those are reserved.
fn wider(window: &Window, ports: &PortsInUse) -> Option<Remedy> {
    let (first, last) = ports.limits.range.map(|(first, last)| (u64::from(first), u64::from(last)))?;
    let new_first = first.min(FIRST);
    let gained = (65_535 - new_first).saturating_sub(last - first);
    if gained * 2 < last - first {
        return None;
    }
    let is_new = |port: &&u16| u64::from(**port) >= new_first && !(first..=last).contains(&u64::from(**port));
    let mut served: Vec<u16> = ports.served.iter().filter(is_new).copied().collect();
    served.sort_unstable();
    let mut reserved: Vec<String> = window
        .now::<Sysctls>()
        .ok()
        .and_then(|settings| settings.get(RESERVED))
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .into_iter()
        .collect();
    reserved.extend(served.iter().map(u16::to_string));
    let (range, reserved) = (format!("{new_first} 65535"), reserved.join(","));
    let what = "Give outgoing connections more ports.";
    Some(if served.is_empty() {
        Remedy::sysctl(window, what, &[(RANGE, &range)])
    } else {
        let what = "Give outgoing connections more ports, but those of listeners among them.";
        Remedy::sysctl(window, what, &[(RESERVED, &reserved), (RANGE, &range)])
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::counters::tcp_limits::TcpLimits;
    use crate::doctor::made::Made;
    use crate::model::{Endpoint, Netns};

    fn made(used: u32, time_wait: u32, reuse: u64) -> Made {
        let pair = PortPressure {
            netns: Arc::new(Netns::default()),
            local: "10.0.0.1".parse().unwrap(),
            remote: Endpoint { address: "192.0.2.7".parse().unwrap(), port: Some(5432) },
            used,
            time_wait,
            available: 28_232,
        };
        let limits = TcpLimits { range: Some((32_768, 60_999)), ..TcpLimits::default() };
        let served = [22, 16_686, 40_000].into_iter().collect();
        let ports = PortsInUse { pressure: vec![pair], limits, served, ..PortsInUse::default() };
        let settings: Sysctls = [
            (REUSE, reuse.to_string()),
            (TIMESTAMPS, "1".to_owned()),
            (RANGE, "32768\t60999".to_owned()),
            (RESERVED, "8080".to_owned()),
        ]
        .into_iter()
        .collect();
        Made::default().part(PortsInUse::default(), ports).part(Sysctls::default(), settings)
    }

    #[test]
    fn time_wait_takes_most() {
        assert_snapshot!(made(28_000, 27_000, 2).told(&CHECK));
    }

    #[test]
    fn what_may_be_reused_is_not_taken() {
        assert_eq!(made(28_000, 27_000, 1).check(&CHECK), Ok(Vec::new()));
        let findings = made(28_000, 1000, 1).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, Severity::Warning);
        assert!(findings[0].cause.contains("pool"), "{findings:?}");
        assert_eq!(made(20_000, 10_000, 2).check(&CHECK), Ok(Vec::new()));
    }
}
