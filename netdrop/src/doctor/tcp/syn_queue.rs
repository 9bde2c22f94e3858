//! `tcp-syn-queue-full`: SYNs that were dropped although the accept queue had room (`tcp_conn_request`, `net/ipv4/tcp_input.c`): as many
//! handshakes wait as the backlog allows, or three quarters of `tcp_max_syn_backlog`, and SYN cookies are switched off.

use super::{Listeners, PortsInUse, rise};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-syn-queue-full",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<Listeners>(), source::<PortsInUse>()],
    run,
};

const COOKIES: &str = "net.ipv4.tcp_syncookies";
const BACKLOG: &str = "net.ipv4.tcp_max_syn_backlog";

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let drops = window.delta("TcpExt", "ListenDrops")?;
    let full = window.delta("TcpExt", "TCPReqQFullDrop")?;
    // With cookies, a full queue drops nothing: what is lost then is lost for want of memory or by another fault.
    let is_off = window.sysctl(COOKIES).is_ok_and(|value| value == 0);
    let others = drops.by().saturating_sub(rise(window, "TcpExt", "ListenOverflows"));
    let lost = if is_off { others.max(full.by()) } else { full.by() };
    if lost == 0 {
        return Ok(Vec::new());
    }
    let (listener, waiting) = worst(window);
    let sentence = format!(
        "{} dropped as too many handshakes wait for their last segment.",
        counted(lost, "SYN was", "SYNs were")
    );
    let opened = rise(window, "Tcp", "PassiveOpens");
    let cause = if waiting.is_some() && opened < lost {
        "Handshakes are begun and not completed: a flood of SYNs from addresses that never answer, or answers that are lost on their way. SYN cookies are off."
    } else {
        "Connections come in bursts that are longer than the queue, or from far away, so that each waits longer in it. SYN cookies are off."
    };
    let mut finding = Finding::new(Severity::of_loss(lost, opened), listener, sentence)
        .losing(window.rate(lost))
        .because(Certainty::Likely, cause)
        .shown_by([drops, full].into_iter().filter(|moved| moved.by() > 0))
        .shown_by(waiting.map(|count| Evidence::value("handshakes that wait", count, PortsInUse::FROM)))
        .shown_by([window.setting(COOKIES), window.setting(BACKLOG)].into_iter().flatten())
        .caution("Connections by cookie work, with fewer of TCP's options. They are used only while the queue is full.");
    if is_off {
        let what =
            "Answer by SYN cookies while the queue is full: it takes no memory, and no SYN is dropped.";
        finding = finding.remedy(Remedy::sysctl(window, what, &[(COOKIES, &1)]));
    } else {
        finding =
            finding.remedy(Remedy::advice("Have the application ask for a longer backlog of listen(2)."));
    }
    Ok(vec![finding])
}

/// The listener that dropped most, with the handshakes that wait for it.
fn worst(window: &Window) -> (String, Option<u32>) {
    let asked = window.now::<PortsInUse>().map(|ports| ports.asked.clone()).unwrap_or_default();
    let waiting = asked.values().sum();
    let waiting = (waiting > 0).then_some(waiting);
    let Ok((before, after)) = window.both::<Listeners>() else { return ("listeners".into(), waiting) };
    let dropped = after.0.iter().map(|listener| {
        let was = before.0.iter().find(|one| one.is(listener)).map_or(0, |one| one.memory.drops);
        (Moved::of_32_bits("drops", (was, listener.memory.drops), window.lasted, "").by(), listener)
    });
    match dropped.max_by_key(|(drops, _)| *drops) {
        Some((1.., listener)) => {
            (format!("listener {}{}", listener.local, window.of_owner(listener.socket)), waiting)
        }
        _ => ("listeners".into(), waiting),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::tests::made as socket;
    use crate::doctor::made::Made;

    fn made(cookies: u64, drops: u64, overflows: u64, full: u64) -> Made {
        let counters = |drops, overflows, full| {
            Counters::from([
                ("TcpExt", "ListenDrops", drops),
                ("TcpExt", "ListenOverflows", overflows),
                ("TcpExt", "TCPReqQFullDrop", full),
                ("Tcp", "PassiveOpens", 9),
            ])
        };
        let settings: Sysctls = [(COOKIES, cookies), (BACKLOG, 256)].into_iter().collect();
        let listener = |drops| socket("0.0.0.0:443", 7, (0, 128), drops);
        let asked = BTreeMap::from([("10.0.0.1:443".parse().unwrap(), 128)]);
        let ports = PortsInUse { asked, ..PortsInUse::default() };
        Made::default()
            .part(counters(0, 0, 0), counters(drops, overflows, full))
            .part(Sysctls::default(), settings)
            .part(Listeners(vec![listener(5)]), Listeners(vec![listener(5 + 400)]))
            .part(PortsInUse::default(), ports)
            .owner(7, "nginx", 4242)
    }

    #[test]
    fn a_flood_without_cookies() {
        assert_snapshot!(made(0, 400, 0, 300).told(&CHECK));
    }

    #[test]
    fn overflows_of_the_accept_queue_are_another_matter() {
        assert_eq!(made(0, 400, 400, 0).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(1, 400, 0, 0).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(0, 0, 0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
