//! `udp-send-buffer-full`: datagrams that their own host refused to send (`udp_sendmsg`, `net/ipv4/udp.c`): the socket's send buffer was
//! full (`SOCK_NOSPACE`), or the device's queue was (`ENOBUFS`, which `udp_send_skb` keeps from senders without `IP_RECVERR`).

use super::{UdpSockets, of_all, rise, risen};
use crate::counters::inet_sockets::InetSocket;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "udp-send-buffer-full",
    area: Area::Udp,
    scope: Scope::Netns,
    needs: &[source::<UdpSockets>(), source::<Counters>(), source::<Sysctls>()],
    run,
};

const DEFAULT: &str = "net.core.wmem_default";
const MOST: &str = "net.core.wmem_max";
/// A tenth of a second at a gigabit a second, sent at once: who needs more shall wait for the device.
const LARGEST: u64 = 16 << 20;
/// How queueing disciplines and drivers tell that they are full. They have findings of their own.
const OF_QUEUES: [&str; 5] =
    ["QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "QDISC_BURST_DROP", "FULL_RING"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let counters = of_all(window, "SndbufErrors")?;
    let lost: u64 = counters.iter().map(Moved::by).sum();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let fullness = |socket: &InetSocket| (u64::from(socket.memory.send), u64::from(socket.memory.send_limit));
    let sockets = &window.now::<UdpSockets>()?.0;
    let full = sockets
        .iter()
        .filter(|socket| socket.memory.send > 0 && fullness(socket).0 * 2 >= fullness(socket).1);
    let full = full.max_by_key(|socket| socket.memory.send);
    let of_queue = window.drops_of(&OF_QUEUES);
    let subject = full.map_or("sockets that send".into(), |socket| {
        format!("socket {}{}", socket.local, window.of_owner(socket.socket))
    });
    let sentence = format!(
        "{} refused as the send buffer or the device's queue was full.",
        counted(lost, "datagram was", "datagrams were")
    );
    let severity = Severity::of_loss(lost, rise(window, "OutDatagrams"));
    let mut finding = Finding::new(severity, subject, sentence)
        .losing(window.rate(lost))
        .shown_by(risen(counters))
        .caution(
            "A datagram in a long buffer is sent late; a sender that is faster than its device fills any.",
        );
    if let Some(socket) = full {
        let (queue, limit) = fullness(socket);
        let queue = format!("{queue} of {limit} bytes");
        finding = finding
            .shown_by([Evidence::value("send buffer", queue, UdpSockets::FROM)])
            .because(Certainty::Likely, "Its process sends faster than the device takes datagrams, and doesn't wait: the send buffer is full now, too.")
            .remedy(Remedy::advice("Have the process wait until there is room (poll(2) for POLLOUT, or a socket that blocks) or send more slowly (SO_MAX_PACING_RATE)."));
        finding = larger(window, limit).into_iter().fold(finding, Finding::remedy);
    } else if of_queue.is_empty() {
        let larger = larger(window, window.sysctl(DEFAULT).unwrap_or(0));
        finding = finding
            .because(Certainty::Possible, "Processes send in bursts that are larger than their send buffers or the device's queue: none is full now.")
            .remedy(larger.unwrap_or_else(|| Remedy::advice("Have processes send more slowly (SO_MAX_PACING_RATE), or wait until there is room: no larger buffer helps.")));
    } else {
        finding = finding
            .because(
                Certainty::Likely,
                "The device's queueing discipline dropped them. Their senders weren't told, unless they set IP_RECVERR: those got ENOBUFS.",
            )
            .remedy(
                Remedy::command("See which device's queue is short, and what it drops.", "tc -s qdisc show")
                    .inside(window),
            );
    }
    Ok(vec![
        finding
            .shown_by([window.setting(DEFAULT), window.setting(MOST)].into_iter().flatten())
            .shown_by(of_queue),
    ])
}

/// Twice the buffer and more, by whatever limits it now (socket(7): what is asked for is doubled, after `wmem_max` has cut it). Nothing where it is as
/// large as any should be.
fn larger(window: &Window, limit: u64) -> Option<Remedy> {
    let enough = (limit * 4).next_power_of_two().clamp(1 << 20, LARGEST);
    if enough <= limit {
        return None;
    }
    let half = enough / 2;
    if window.sysctl(DEFAULT).is_ok_and(|default| default == limit) {
        let what = "Give sockets that ask for nothing a larger buffer from the start, and start the process again: it never set SO_SNDBUF.";
        return Some(Remedy::host_sysctl(what, &[(DEFAULT, &enough)]));
    }
    let what = format!("Have the process ask for more: SO_SNDBUF of {half} would do.");
    Some(match window.sysctl(MOST) {
        Ok(most) if most >= half => Remedy::advice(what),
        _ => Remedy::host_sysctl(format!("{what} Allow that much first."), &[(MOST, &half)]),
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::tests::made as socket;
    use crate::doctor::made::Made;
    use crate::owner::diag::Memory;

    fn made(lost: u64, send: u32, send_limit: u32) -> Made {
        let counters = |errors| {
            let udp = [("Udp", "SndbufErrors", errors), ("Udp", "OutDatagrams", 0)];
            Counters::from(udp)
        };
        let memory = Memory { send, send_limit, ..Memory::default() };
        let busy = InetSocket { memory, ..socket("0.0.0.0:40000", 7, (0, 0), 0) };
        let sockets = UdpSockets(vec![busy, socket("0.0.0.0:53", 8, (0, 0), 0)]);
        let settings: Sysctls = [(DEFAULT, 212_992), (MOST, 212_992)].into_iter().collect();
        Made::default()
            .part(counters(3), counters(3 + lost))
            .part(UdpSockets::default(), sockets)
            .part(Sysctls::default(), settings)
            .owner(7, "statsd", 99)
    }

    #[test]
    fn a_buffer_that_is_full_now() {
        assert_snapshot!(made(500, 212_000, 212_992).told(&CHECK));
    }

    #[test]
    fn what_the_process_asked_for_and_bursts() {
        let findings = made(500, 9000, 9216).check(&CHECK).unwrap();
        let remedy = &findings[0].remedies[1];
        assert_eq!(remedy.now, ["sysctl -w net.core.wmem_max=524288"]);
        let findings = made(500, 0, 9216).check(&CHECK).unwrap();
        assert_eq!(findings[0].subject, "sockets that send");
        assert_eq!(findings[0].remedies[0].now, ["sysctl -w net.core.wmem_default=1048576"]);
        assert_eq!(made(0, 9000, 9216).check(&CHECK), Ok(Vec::new()));
    }

    #[rstest::rstest]
    #[case(8 << 20, &["sysctl -w net.core.wmem_default=16777216"])]
    #[case(16 << 20, &[])]
    #[case(64 << 20, &[])]
    fn a_command_only_raises(#[case] limit: u32, #[case] now: &[&str]) {
        for full in [limit, 0] {
            let settings: Sysctls = [(DEFAULT, limit), (MOST, 212_992)].into_iter().collect();
            let made = made(500, full, limit).part(Sysctls::default(), settings);
            let remedies = made.check(&CHECK).unwrap().remove(0).remedies;
            assert_eq!(remedies.last().unwrap().now, now, "{remedies:?}");
        }
    }
}
