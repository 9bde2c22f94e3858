//! `tcp-keepalive-storm`: many idle connections whose next keepalive probes are due at the same moment, again and again (`tcp_keepalive_timer`,
//! `net/ipv4/tcp_timer.c`): a burst of that many packets, and of as many answers.

use super::{Connections, risen};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "tcp-keepalive-storm",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Connections>(), source::<Counters>(), source::<Sysctls>()],
    run,
};

const TIME: &str = "net.ipv4.tcp_keepalive_time";
const INTERVAL: &str = "net.ipv4.tcp_keepalive_intvl";
const PROBES: &str = "net.ipv4.tcp_keepalive_probes";
/// Within so many milliseconds is at the same moment.
const MOMENT_MS: u128 = 100;
/// A default backlog of a CPU (`net.core.netdev_max_backlog`): fewer answers at the same moment find room everywhere.
const STORM: usize = 1000;
/// Probes that are due later come less often than once a minute: rare, however many they are.
const SOON_MS: u128 = 60_000;
/// Every five minutes: short enough for most NATs and firewalls, which forget idle connections after that and more (RFC 5382 wants two hours).
const GENTLE_S: u64 = 300;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let due = window.now::<Connections>()?.0.all.iter().filter_map(|one| Some(one.keepalive?.as_millis()));
    let mut soon: Vec<u128> = due.filter(|due| *due < SOON_MS).collect();
    soon.sort_unstable();
    let at_once =
        |first: usize| soon[first..].iter().take_while(|due| **due < soon[first] + MOMENT_MS).count();
    // From each place that a storm could begin at: those that are `STORM` places apart and due together.
    let begins = (0..soon.len())
        .filter(|first| soon.get(first + STORM - 1).is_some_and(|last| *last < soon[*first] + MOMENT_MS));
    let Some(most) = begins.step_by(STORM / 10).map(at_once).max() else { return Ok(Vec::new()) };
    let time = window.sysctl(TIME).ok();
    let finding = Finding::new(
        Severity::Warning,
        "idle connections",
        format!("{most} keepalive probes are due within the same tenth of a second, and again each time."),
    )
    .because(Certainty::Likely, "Connections were opened or became idle at the same moment, with the same short keepalive time: their probes and the answers come as one burst.")
    .shown_by([Evidence::value("probes due within a minute", soon.len(), Connections::FROM)])
    .shown_by(risen(window, &["TCPKeepAlive"]))
    .shown_by([TIME, INTERVAL, PROBES].into_iter().filter_map(|key| window.setting(key)))
    .remedy(Remedy::advice("Where the application sets TCP_KEEPIDLE itself, have it choose a longer time, and each connection another one."))
    .caution("Dead peers are noticed later, and NATs or firewalls that forget idle connections sooner break them.");
    Ok(vec![match time {
        Some(time) if time < GENTLE_S => {
            let what = "Ask less often, on connections that choose no time themselves; they take it as they become idle again.";
            finding.remedy(Remedy::sysctl(window, what, &[(TIME, &GENTLE_S)]))
        }
        _ => finding,
    }])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::counters::tcp_connections::Connection;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(due_ms: impl Fn(u64) -> u64) -> Made {
        let one = |number| Connection {
            keepalive: Some(Duration::from_millis(due_ms(number))),
            ..connection("10.0.0.1:80", "10.0.0.2:9", 7)
        };
        let connections = Connections((0..2000).map(one).collect::<Vec<_>>().into());
        let settings: Sysctls = [(TIME, 20), (INTERVAL, 5), (PROBES, 3)].into_iter().collect();
        Made::default()
            .part(Connections::default(), connections)
            .part(Counters::default(), Counters::default())
            .part(Sysctls::default(), settings)
    }

    #[test]
    fn only_what_comes_together_and_soon_is_a_storm() {
        let findings = made(|number| 15_000 + number % 50).check(&CHECK).unwrap();
        assert!(findings[0].sentence.starts_with("2000 keepalive probes"), "{findings:?}");
        assert_eq!(findings[0].remedies[1].now, ["sysctl -w net.ipv4.tcp_keepalive_time=300"]);
        assert_eq!(made(|number| number * 9).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(|_| 7_000_000).check(&CHECK), Ok(Vec::new()));
    }
}
