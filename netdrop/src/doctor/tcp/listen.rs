//! `tcp-listen-overflow`: connections that found their listener's accept queue full (`tcp_conn_request`, `tcp_v4_syn_recv_sock`).
//!
//! A SYN that finds it full is consumed (`tcp_rcv_state_process`): counters alone tell of it. The last segment of a handshake is dropped
//! (`tcp_check_req`, then `tcp_v4_rcv` and `tcp_v6_rcv`, where others end, too): 6.18 has a reason of its own for it, 6.12 none.

use super::Listeners;
use crate::counters::inet_sockets::InetSocket;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-listen-overflow",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Listeners>(), source::<Counters>(), source::<Sysctls>()],
    run,
};

const SETTING: &str = "net.core.somaxconn";
/// `listen(2)`'s backlog is 16 bits wide in some programs, and no accept queue needs more. The setting, an int, may be more already.
const LARGEST: u64 = 65_535;
const REASON: [&str; 1] = ["TCP_LISTEN_OVERFLOW"];
const FUNCTIONS: [&str; 2] = ["tcp_v4_rcv", "tcp_v6_rcv"];

/// How programs call their backlog in their configuration.
const CONFIGURED: [(&str, &str); 8] = [
    ("nginx", "listen … backlog=N"),
    ("redis-server", "tcp-backlog N"),
    ("haproxy", "backlog N"),
    ("apache2", "ListenBacklog N"),
    ("httpd", "ListenBacklog N"),
    ("mysqld", "back_log = N"),
    ("mariadbd", "back_log = N"),
    ("gunicorn", "--backlog N"),
];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let overflows = window.delta("TcpExt", "ListenOverflows")?;
    if overflows.by() == 0 {
        return Ok(Vec::new());
    }
    let (before, after) = window.both::<Listeners>()?;
    let accepted = window.delta("Tcp", "PassiveOpens").map_or(0, |moved| moved.by());
    let explained = explained(window, &overflows);
    let drops = |listener: &InetSocket| drops(window, before, listener);
    let is_short =
        |listener: &InetSocket| drops(listener).by() > 0 || listener.receive_queue > listener.send_queue;
    let listeners: Vec<_> = after.0.iter().filter(|listener| is_short(listener)).collect();
    if listeners.is_empty() {
        return Ok(vec![told_by(window, explained, of_closed(overflows, accepted))]);
    }
    let found = |listener| of_listener(window, listener, drops(listener), &overflows, accepted);
    Ok(listeners.into_iter().map(|listener| told_by(window, explained, found(listener))).collect())
}

/// With netdrop's own drops, which it explains.
fn told_by(window: &Window, names: &'static [&'static str], finding: Finding) -> Finding {
    finding.shown_by(window.drops_of(names)).explains(names)
}

/// What a full queue's drops are named by. Where none have the reason, those without one are its own if there are no more of them than
/// handshakes that were refused; a listener that drops one counts it twice, `ListenDrops` once (`tcp_listendrop`, and `discard_and_relse` in `tcp_v4_rcv`).
fn explained(window: &Window, overflows: &Moved) -> &'static [&'static str] {
    let refused = window.delta("TcpExt", "ListenDrops").and_then(|counted| {
        let (before, after) = window.both::<Listeners>()?;
        let by_all = after.0.iter().map(|listener| drops(window, before, listener).by()).sum::<u64>();
        Ok(by_all.saturating_sub(counted.by()))
    });
    let refused = refused.unwrap_or(0).min(overflows.by());
    // Counters and drops are read within milliseconds of each other: a twentieth may fall between.
    let are_its = (1..=refused + refused / 20).contains(&window.lost_by(&FUNCTIONS));
    if are_its && window.lost_by(&REASON) == 0 { &FUNCTIONS } else { &REASON }
}

/// What a listener dropped in the window.
fn drops(window: &Window, before: &Listeners, listener: &InetSocket) -> Moved {
    let was = before.0.iter().find(|one| one.is(listener)).map_or(0, |one| one.memory.drops);
    Moved::of_32_bits("drops", (was, listener.memory.drops), window.lasted, Listeners::FROM)
}

fn of_listener(
    window: &Window,
    listener: &InetSocket,
    drops: Moved,
    overflows: &Moved,
    opened: u64,
) -> Finding {
    // It counts a handshake twice.
    let lost = drops.by().min(overflows.by());
    let limit = u64::from(listener.send_queue);
    let (queue, local) = (listener.receive_queue, listener.local);
    let subject = format!("listener {local}{}", window.of_owner(listener.socket));
    let sentence = format!(
        "{} dropped as the accept queue was full, at a backlog of {limit}.",
        counted(lost, "SYN or handshake was", "SYNs and handshakes were")
    );
    let waits = format!("{queue} of {limit}");
    let finding = Finding::new(Severity::of_loss(lost, opened), subject, sentence)
        .losing(window.rate(lost))
        .shown_by([drops, overflows.clone()])
        .shown_by([Evidence::value("accept queue", waits, Listeners::FROM)])
        .shown_by(window.setting(SETTING))
        .caution("A longer queue carries bursts of connections. An application that accepts too slowly all the time fills any queue, and clients then wait instead of being refused.");
    // Had all of them come at once, so many would have found room.
    let enough = (limit + lost).max(limit * 2).max(16).next_power_of_two().min(LARGEST);
    let somaxconn = window.sysctl(SETTING).unwrap_or(u64::MAX);
    let configured = configured(window, listener);
    let finding = if enough > limit {
        finding
    } else {
        finding.remedy(Remedy::advice("No longer queue helps. Have the application accept faster: more threads or processes in accept(2), several listeners with SO_REUSEPORT, or more hosts."))
    };
    if limit >= somaxconn {
        let finding = finding.because(
            Certainty::Likely,
            format!("Connections come faster than the application accepts them. It asked for a backlog of {limit} or more: somaxconn allows no more than {somaxconn}."),
        );
        if enough <= somaxconn {
            return finding;
        }
        let what = format!(
            "Allow longer queues, and start the process again, as listen(2) sets the backlog once{}.",
            configured.map_or(String::new(), |name| format!(" (its own setting: {name})"))
        );
        finding.remedy(Remedy::sysctl(window, what, &[(SETTING, &enough)]))
    } else {
        let name = configured.unwrap_or("the backlog of listen(2)");
        let finding = finding.because(
            Certainty::Certain,
            format!("Connections come faster than the application accepts them, and it asked for a backlog of {limit} only: somaxconn would allow {somaxconn}."),
        );
        if enough <= limit {
            return finding;
        }
        let what = format!("Have the application ask for a backlog of {} ({name}).", enough.min(somaxconn));
        let finding = finding.remedy(Remedy::advice(what));
        if enough <= somaxconn {
            return finding;
        }
        finding.remedy(Remedy::sysctl(
            window,
            "Allow more first, if that isn't enough.",
            &[(SETTING, &enough)],
        ))
    }
}

/// How the program that has the listener calls its backlog.
fn configured(window: &Window, listener: &InetSocket) -> Option<&'static str> {
    let owner = window.whose.owner(listener.socket)?.first()?;
    CONFIGURED.iter().find(|(command, _)| **command == *owner.command).map(|(_, name)| *name)
}

/// Nobody that listens now has dropped any.
fn of_closed(overflows: Moved, opened: u64) -> Finding {
    let lost = overflows.by();
    let sentence = format!(
        "{} found the accept queue full, at listeners that are closed by now.",
        counted(lost, "connection", "connections")
    );
    Finding::new(
        Severity::of_loss(lost, opened).min(Severity::Warning),
        "listeners that are closed",
        sentence,
    )
    .losing(overflows.rate)
    .shown_by([overflows])
    .because(
        Certainty::Possible,
        "An application that ended since, or was started again, accepted too slowly.",
    )
    .remedy(Remedy::command(
        "See which listener it is when it happens again.",
        "netdrop watch --proto tcp --by dst --reason TCP_LISTEN_OVERFLOW --duration 30s",
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::tests::made as socket;
    use crate::doctor::Home;
    use crate::doctor::made::{Made, row};

    fn made(somaxconn: u64, overflows: u64, drops: u32) -> Made {
        let counters = |overflows, opens| {
            Counters::from([
                ("TcpExt", "ListenOverflows", overflows),
                ("TcpExt", "ListenDrops", overflows),
                ("Tcp", "PassiveOpens", opens),
            ])
        };
        let idle = socket("127.0.0.1:6379", 6, (0, 511), 0);
        let before = socket("0.0.0.0:8080", 7, (0, 128), 10);
        let after = socket("0.0.0.0:8080", 7, (129, 128), 10 + drops);
        let settings: Sysctls = [(SETTING, somaxconn)].into_iter().collect();
        Made::default()
            .part(Listeners(vec![idle, before]), Listeners(vec![idle, after]))
            .part(counters(5, 0), counters(5 + overflows, 2000))
            .part(Sysctls::default(), settings)
            .owner(7, "nginx", 4242)
    }

    #[test]
    fn a_backlog_that_somaxconn_cuts() {
        assert_snapshot!(made(128, 300, 300).told(&CHECK));
    }

    #[test]
    fn a_backlog_that_the_application_asked_for() {
        assert_snapshot!(made(4096, 300, 300).told(&CHECK));
    }

    /// A command only raises, and nobody is told to ask for what was asked for already.
    #[rstest::rstest]
    #[case::half_of_the_most(32_768, 32_768, &["sysctl -w net.core.somaxconn=65535"], "Allow longer queues")]
    #[case::the_most(65_535, 65_535, &[], "No longer queue helps.")]
    #[case::more(1 << 20, 1 << 20, &[], "No longer queue helps.")]
    #[case::asked_for(65_535, 1 << 20, &[], "No longer queue helps.")]
    #[case::asked_for_less(32_768, 1 << 20, &[], "Have the application ask for a backlog of 65535 ")]
    fn long_queues(#[case] limit: u32, #[case] somaxconn: u64, #[case] now: &[&str], #[case] what: &str) {
        let of = |queue, drops| Listeners(vec![socket("0.0.0.0:8080", 7, (queue, limit), drops)]);
        let findings = made(somaxconn, 300, 300).part(of(0, 0), of(limit + 1, 300)).check(&CHECK).unwrap();
        let [remedy] = &findings[0].remedies[..] else { panic!("{findings:?}") };
        assert_eq!(remedy.now, now);
        assert!(remedy.what.starts_with(what), "{remedy:?}");
    }

    #[test]
    fn in_another_namespace_commands_enter_it() {
        let home = Home { inode: 9, name: Some("web".into()), enter: Some(PathBuf::from("/run/netns/web")) };
        let findings = made(128, 300, 300).at(home).check(&CHECK).unwrap();
        let remedy = &findings[0].remedies[0];
        assert_eq!(remedy.now, ["nsenter --net=/run/netns/web sysctl -w net.core.somaxconn=512"]);
        assert!(
            remedy.persistently.as_ref().unwrap().ends_with("docker run --sysctl net.core.somaxconn=512")
        );
        assert_eq!(findings[0].verify, "netdrop doctor --only tcp-listen-overflow --netns web");
        assert_eq!(findings[0].netns.as_deref(), Some("web"));
    }

    #[rstest::rstest]
    #[case::with_its_reason("TCP_LISTEN_OVERFLOW", 90, 0, true)]
    #[case::handshakes_alone("NOT_SPECIFIED", 100, 100, true)]
    #[case::others_end_there_too("NOT_SPECIFIED", 150, 100, false)]
    #[case::none_of_them_handshakes("NOT_SPECIFIED", 50, 0, false)]
    fn drops_without_a_reason_are_its_where_no_others_are(
        #[case] reason: &str,
        #[case] dropped: u64,
        #[case] handshakes: u64,
        #[case] is_tied: bool,
    ) {
        // Of 300, so many were handshakes: those are counted twice by the listener.
        let made = made(128, 300, 300 + u32::try_from(handshakes).unwrap());
        let findings = made.drops(vec![row(reason, "tcp_v4_rcv", "eth0", dropped)]).check(&CHECK).unwrap();
        let name = if reason == "NOT_SPECIFIED" { "tcp_v4_rcv" } else { reason };
        assert_eq!(findings[0].explains.contains(&name), is_tied);
        assert!(findings[0].sentence.starts_with("300 SYNs"), "{}", findings[0].sentence);
    }

    #[test]
    fn without_overflows_there_is_nothing() {
        assert_eq!(made(128, 0, 0).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn a_listener_may_be_closed_by_the_end() {
        let made = made(128, 300, 300).part(Listeners::default(), Listeners::default());
        assert_eq!(made.check(&CHECK).unwrap()[0].subject, "listeners that are closed");
    }
}
