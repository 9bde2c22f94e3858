//! `tcp-zero-window`: data that came although its receiver had closed the window (`tcp_data_queue`, `net/ipv4/tcp_input.c`): a process that
//! doesn't read, and a peer that asks whether it does now.

use super::{Connections, dropping, named, rise, risen};
use crate::counters::tcp_connections::Connection;
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-zero-window",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Connections>()],
    run,
};

const EXPLAINED: [&str; 2] = ["TCP_ZEROWINDOW", "TCP_INVALID_END_SEQUENCE"];
/// What kernels from 6.17 on call data beyond a window, a closed one's included (`tcp_sequence`, `net/ipv4/tcp_input.c`).
const BEYOND: &str = "BeyondWindow";
const CLOSED: [&str; 2] = ["TCPToZeroWindowAdv", "TCPWantZeroWindowAdv"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let drops = window.delta("TcpExt", "TCPZeroWindowDrop")?;
    let unread = worst(window);
    // Beyond a window that was closed as nobody reads: else it is the sender's fault.
    let is_closed = unread.as_ref().is_some_and(is_full);
    let beyond = if is_closed { risen(window, &[BEYOND]) } else { Vec::new() };
    let lost = drops.by() + beyond.iter().map(Moved::by).sum::<u64>();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let subject = unread.as_ref().map_or("connections".into(), |one| named(window, one));
    let severity = Severity::of_loss(lost, rise(window, "Tcp", "InSegs")).min(Severity::Warning);
    let sentence = format!(
        "{} came to sockets that had closed their window, as nobody reads.",
        counted(lost, "segment", "segments")
    );
    Ok(vec![
        Finding::new(severity, subject, sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Likely,
                "The receiving process is stopped, stuck or too slow. Its peer holds back its data and asks from time to time.",
            )
            .shown_by([drops].into_iter().filter(|moved| moved.by() > 0))
            .shown_by(beyond)
            .shown_by(risen(window, &CLOSED))
            .shown_by(unread.map(|one| {
                let queue = format!("{} bytes", one.socket.receive_queue);
                Evidence::value("unread", queue, Connections::FROM)
            }))
            .shown_by(window.drops_of(&EXPLAINED))
            .explains(&EXPLAINED)
            .remedy(Remedy::advice(
                "Find out what its process waits for (a lock, a disk, a database behind it, the CPU), and have it read.",
            ))
            .remedy(
                Remedy::command("See whose data waits unread, most first.", "ss -tnp | sort -rnk2 | head").inside(window),
            )
            .caution("A larger buffer only holds more that nobody reads."),
    ])
}

fn is_full(connection: &Connection) -> bool {
    let socket = &connection.socket;
    socket.receive_queue > 0 && socket.memory.receive >= socket.memory.receive_limit / 2
}

/// The connection that dropped most; or with most that waits unread.
fn worst(window: &Window) -> Option<Connection> {
    if let Some((one, _)) = dropping(window).first() {
        return Some((*one).clone());
    }
    let after = &window.now::<Connections>().ok()?.0.all;
    after
        .iter()
        .filter(|one| one.socket.receive_queue > 0)
        .max_by_key(|one| one.socket.receive_queue)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    #[test]
    fn whose_data_waits_is_named() {
        let counters = |lost| {
            Counters::from([
                ("TcpExt", "TCPZeroWindowDrop", lost),
                ("TcpExt", "TCPToZeroWindowAdv", lost / 10),
            ])
        };
        let mut unread = connection("10.0.0.1:80", "10.0.0.2:40000", 7);
        unread.socket.receive_queue = 65_000;
        let connections = Connections(vec![connection("[::1]:1", "[::1]:2", 8), unread].into());
        let made = |lost| {
            Made::default()
                .part(counters(0), counters(lost))
                .part(Connections::default(), connections.clone())
                .owner(7, "java", 12)
        };
        let findings = made(50).check(&CHECK).unwrap();
        assert_eq!(findings[0].subject, "connection 10.0.0.1:80 – 10.0.0.2:40000 of java(12)");
        assert_eq!((findings[0].severity, findings[0].evidence.len()), (Severity::Warning, 3));
        assert_eq!(made(0).check(&CHECK), Ok(Vec::new()));
    }
}
