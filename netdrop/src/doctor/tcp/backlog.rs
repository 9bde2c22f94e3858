//! `tcp-backlog-full`: segments that came while a process held their socket, and found its backlog full (`tcp_add_backlog`,
//! `net/ipv4/tcp_ipv4.c`): it may be as large as two receive buffers, half a send buffer and 64 KiB, in older kernels as one of each and 64 KiB.

use super::{Connections, RECEIVE_BUFFER, buffers, dropping, named, rise};
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-backlog-full",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<Connections>()],
    run,
};

const EXPLAINED: [&str; 2] = ["SOCKET_BACKLOG", "tcp_add_backlog"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let drops = window.delta("TcpExt", "TCPBacklogDrop")?;
    let lost = drops.by();
    if lost == 0 {
        return Ok(Vec::new());
    }
    let worst = dropping(window).into_iter().next();
    let subject = worst.as_ref().map_or("connections".into(), |(one, _)| named(window, one));
    let limit = worst.as_ref().map_or(0, |(one, _)| u64::from(one.socket.memory.receive_limit));
    let sentence = format!(
        "{} found the backlog of the socket full, and must be sent again.",
        counted(lost, "segment", "segments")
    );
    let finding = Finding::new(Severity::of_loss(lost, rise(window, "Tcp", "InSegs")), subject, sentence)
        .losing(drops.rate)
        .because(Certainty::Likely, "Its process holds the socket for long (large reads or writes, no CPU), while segments pour in; or its buffers are small.")
        .shown_by([drops])
        .shown_by(worst.into_iter().flat_map(|(one, drops)| {
            let buffers = format!("{} to receive, {} to send", one.socket.memory.receive_limit, one.socket.memory.send_limit);
            [Evidence::from(drops), Evidence::value("buffers", buffers, Connections::FROM)]
        }))
        .shown_by(window.setting(RECEIVE_BUFFER))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .remedy(Remedy::advice("Read and write less at once, and have interrupts and the process on different CPUs."))
        .caution("TCP sends again what is lost here: it costs speed, not data. Larger buffers hide a CPU that is too slow.");
    let larger = buffers(
        window,
        RECEIVE_BUFFER,
        "Let receive buffers, which the backlog's limit follows, become larger.",
        limit * 2,
    );
    Ok(vec![larger.into_iter().fold(finding, Finding::remedy)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(lost: u64) -> Made {
        let counters = |lost| Counters::from([("TcpExt", "TCPBacklogDrop", lost), ("Tcp", "InSegs", 5000)]);
        let settings: Sysctls = [(RECEIVE_BUFFER, "4096\t131072\t6291456")].into_iter().collect();
        let mut busy = connection("10.0.0.1:80", "10.0.0.2:40000", 7);
        busy.socket.memory.drops = 40;
        busy.socket.memory.receive_limit = 6 << 20;
        Made::default()
            .part(counters(1), counters(1 + lost))
            .part(Sysctls::default(), settings)
            .part(Connections::default(), Connections(vec![connection("[::1]:1", "[::1]:2", 8), busy].into()))
            .owner(7, "postgres", 12)
    }

    #[test]
    fn the_very_connection_is_named() {
        let findings = made(40).check(&CHECK).unwrap();
        assert_eq!(findings[0].subject, "connection 10.0.0.1:80 – 10.0.0.2:40000 of postgres(12)");
        assert_eq!(findings[0].remedies[1].now, ["sysctl -w net.ipv4.tcp_rmem=\"4096 131072 16777216\""]);
        assert_eq!(made(0).check(&CHECK), Ok(Vec::new()));
    }
}
