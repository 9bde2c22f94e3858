//! `udp-receive-queue-full`: datagrams that found their socket's receive queue full (`__udp_enqueue_schedule_skb`, `net/ipv4/udp.c`).

use std::collections::HashMap;

use super::{TRUESIZE, UdpSockets, of_all};
use crate::counters::inet_sockets::InetSocket;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::{bytes, counted};

pub const CHECK: Check = Check {
    name: "udp-receive-queue-full",
    area: Area::Udp,
    scope: Scope::Netns,
    needs: &[source::<UdpSockets>(), source::<Counters>(), source::<Sysctls>()],
    run,
};

const DEFAULT: &str = "net.core.rmem_default";
const MOST: &str = "net.core.rmem_max";
/// More than a tenth of a second at 2.5 Gbit/s: a reader that needs more is too slow, whatever the buffer.
const LARGEST: u64 = 32 << 20;
/// What drops them.
const EXPLAINED: [&str; 4] =
    ["SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb", "udp_queue_rcv_one_skb", "udpv6_queue_rcv_one_skb"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<UdpSockets>()?;
    let counters = of_all(window, "RcvbufErrors")?;
    if counters.iter().all(|moved| moved.by() == 0) {
        return Ok(Vec::new());
    }
    let delivered = of_all(window, "InDatagrams")?.iter().map(Moved::by).sum();
    let mut findings = Vec::new();
    let mut lost_by_known = 0;
    let known: HashMap<u64, u32> = before.0.iter().map(|one| (one.socket.cookie, one.memory.drops)).collect();
    for socket in &after.0 {
        let was = known.get(&socket.socket.cookie).copied().unwrap_or(0);
        let drops = Moved::of_32_bits("drops", (was, socket.memory.drops), window.lasted, UdpSockets::FROM);
        lost_by_known += drops.by();
        if drops.by() > 0 {
            findings.push(of_socket(window, socket, drops, &counters, delivered));
        }
    }
    let counted: u64 = counters.iter().map(Moved::by).sum();
    findings.extend(of_closed(window, counted.saturating_sub(lost_by_known), counters, delivered));
    Ok(findings)
}

fn of_socket(
    window: &Window,
    socket: &InetSocket,
    drops: Moved,
    counters: &[Moved],
    delivered: u64,
) -> Finding {
    let (lost, limit) = (drops.by(), u64::from(socket.memory.receive_limit));
    // Between two reads a queue that is full all the time has a place or two free.
    let is_full = u64::from(socket.memory.receive) * 2 >= limit;
    let judged = Severity::of_loss(lost, delivered);
    // One that is full goes on losing, however much others receive meanwhile.
    let severity = if is_full { judged.max(Severity::Warning) } else { judged };
    let subject = format!("socket {}{}", socket.local, window.of_owner(socket.socket));
    let sentence = format!(
        "{} dropped as the socket's receive queue was full.",
        counted(lost, "datagram was", "datagrams were")
    );
    let cause = if is_full {
        "Its process reads more slowly than datagrams come: the queue isn't read empty now, either. It is busy with something else, isn't given the CPU, or reads one at a time."
    } else {
        "Datagrams come in bursts that are larger than the queue: it is less than half full now."
    };
    let queue = format!("{} of {limit} bytes", socket.memory.receive);
    let mut finding = Finding::new(severity, subject, sentence)
        .losing(drops.rate)
        .because(Certainty::Likely, cause)
        .shown_by([drops])
        .shown_by([Evidence::value("receive queue", queue, UdpSockets::FROM)])
        .shown_by(counters.iter().filter(|moved| moved.by() > 0).cloned())
        .shown_by([window.setting(DEFAULT), window.setting(MOST)].into_iter().flatten())
        .shown_by(window.drops_of(&EXPLAINED).into_iter().map(|drops| at(socket.local.port(), drops)))
        .explains(&EXPLAINED)
        .caution("A larger queue carries bursts. Where a process reads too slowly all the time, it only makes data older.");
    if is_full {
        finding = finding.remedy(Remedy::advice(
            "Have the process read faster: recvmmsg(2), a thread more with SO_REUSEPORT, a larger share of the CPU.",
        ));
    }
    larger(window, limit, lost).into_iter().fold(finding, Finding::remedy)
}

/// Drops of all sockets there, but no other one's as the example.
fn at(port: u16, drops: Evidence) -> Evidence {
    let Evidence::Drops(mut drops) = drops else { return drops };
    drops.example = drops.example.filter(|example| example.destination.ends_with(&format!(":{port}")));
    Evidence::Drops(drops)
}

/// A larger queue, by whatever limits it now (socket(7): what is asked for is doubled, after `rmem_max` has cut it).
fn larger(window: &Window, limit: u64, lost: u64) -> Option<Remedy> {
    // Had all of them come at once, so much would have held them.
    let enough = (limit + lost.saturating_mul(TRUESIZE)).next_power_of_two().min(LARGEST);
    if enough <= limit {
        return None;
    }
    let (default, most) = (window.sysctl(DEFAULT).ok(), window.sysctl(MOST).ok());
    let half = enough / 2;
    Some(if default == Some(limit) {
        let what = format!(
            "Give sockets that ask for nothing {} from the start, and start the process again: it never set SO_RCVBUF. Better still, have it ask for its own.",
            bytes(enough)
        );
        Remedy::host_sysctl(what, &[(DEFAULT, &enough)])
    } else if most.is_some_and(|most| most * 2 == limit) {
        let what = format!(
            "Let it have what it asks for, and start the process again: SO_RCVBUF was cut to {MOST}, which is doubled for {}.",
            bytes(limit)
        );
        Remedy::host_sysctl(what, &[(MOST, &half)])
    } else {
        let what =
            format!("Have the process ask for more: it set SO_RCVBUF to {}; {half} would do.", limit / 2);
        if most.is_some_and(|most| most >= half) {
            Remedy::advice(what)
        } else {
            Remedy::host_sysctl(format!("{what} Allow that much first."), &[(MOST, &half)])
        }
    })
}

/// What was lost at sockets that are closed by now.
fn of_closed(window: &Window, lost: u64, counters: Vec<Moved>, delivered: u64) -> Option<Finding> {
    let severity = Severity::of_loss(lost, delivered);
    let sentence = format!(
        "{} dropped at full receive queues of sockets that are closed by now.",
        counted(lost, "datagram was", "datagrams were")
    );
    // Two counters are never read at the same moment: a stray difference is no socket.
    (severity > Severity::Info).then(|| {
        Finding::new(severity.min(Severity::Warning), "sockets that are closed", sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Possible,
                "Processes that live for a short time, or that ended since, read more slowly than datagrams came.",
            )
            .shown_by(counters.into_iter().filter(|moved| moved.by() > 0))
            .shown_by(window.drops_of(&EXPLAINED))
            .explains(&EXPLAINED)
            .remedy(Remedy::command(
                "See whose they are while they drop.",
                "netdrop watch --proto udp --by owner,port --reason SOCKET_RCVBUFF --duration 30s",
            ))
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::tests::made as socket;
    use crate::doctor::made::Made;

    /// 500 lost, 10,000 delivered; the socket has this queue now and this limit.
    fn made(queue: u32, limit: u32) -> Made {
        let before = socket("0.0.0.0:5353", 7, (0, limit), 3);
        let after = socket("0.0.0.0:5353", 7, (queue, limit), 503);
        let other = socket("[::1]:53", 8, (0, limit), 9);
        let counters = |errors, datagrams| {
            Counters::from([("Udp", "RcvbufErrors", errors), ("Udp", "InDatagrams", datagrams)])
        };
        let settings: Sysctls = [(DEFAULT, 212_992), (MOST, 425_984)].into_iter().collect();
        Made::default()
            .part(UdpSockets(vec![before, other]), UdpSockets(vec![other, after]))
            .part(counters(100, 0), counters(600, 10_000))
            .part(Sysctls::default(), settings)
            .owner(7, "dnsmasq", 812)
    }

    #[test]
    fn a_slow_reader() {
        assert_snapshot!(made(212_000, 212_992).told(&CHECK));
    }

    #[test]
    fn bursts_at_a_socket_whose_wish_was_cut() {
        assert_snapshot!(made(0, 851_968).told(&CHECK));
    }

    #[test]
    fn its_own_wish_was_too_small() {
        let findings = made(0, 8192).check(&CHECK).unwrap();
        let [remedy] = &findings[0].remedies[..] else { panic!("{findings:?}") };
        assert!(remedy.what.contains("set SO_RCVBUF to 4096; 1048576 would do"), "{remedy:?}");
        assert_eq!(remedy.now, ["sysctl -w net.core.rmem_max=1048576"]);
    }

    #[test]
    fn what_is_allowed_already_is_not_set() {
        let settings: Sysctls = [(DEFAULT, 212_992), (MOST, 1 << 20)].into_iter().collect();
        let findings = made(0, 8192).part(Sysctls::default(), settings).check(&CHECK).unwrap();
        let [remedy] = &findings[0].remedies[..] else { panic!("{findings:?}") };
        assert!(remedy.what.ends_with("1048576 would do.") && remedy.now.is_empty(), "{remedy:?}");
    }

    #[test]
    fn other_drops_at_a_socket_are_not_the_queues() {
        // A wrong checksum, for example.
        let made = made(0, 8192).part(
            Counters::from([("Udp", "RcvbufErrors", 7), ("Udp", "InDatagrams", 1)]),
            Counters::from([("Udp", "RcvbufErrors", 7), ("Udp", "InDatagrams", 2)]),
        );
        assert_eq!(made.check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn sockets_may_be_closed_by_the_end() {
        let made = made(0, 8192).part(UdpSockets::default(), UdpSockets::default());
        let findings = made.check(&CHECK).unwrap();
        assert_eq!(findings[0].subject, "sockets that are closed");
        assert_eq!(findings[0].severity, Severity::Warning);
    }
}
