//! `tcp-receive-buffer-full`: data that was thrown away after it had arrived, as its socket's receive buffer has no room (`tcp_prune_queue`,
//! `tcp_prune_ofo_queue`, `tcp_data_queue`, `net/ipv4/tcp_input.c`). The peer must send it again.

use super::{Connections, RECEIVE_BUFFER, buffers, dropping, named, rise, risen, three};
use crate::counters::tcp_connections::Connection;
use crate::doctor::parts::{Counters, Sysctls};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};
use crate::units::times;

pub const CHECK: Check = Check {
    name: "tcp-receive-buffer-full",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Sysctls>(), source::<Connections>()],
    run,
};

/// Each is a segment, or a turn in which at least one was thrown away.
const LOST: [&str; 4] = ["TCPRcvQDrop", "TCPOFODrop", "OfoPruned", "RcvPruned"];
/// Turns in which the kernel searched for room: it copies what it has into less memory, which costs time alone.
const SEARCHED: &str = "PruneCalled";
/// As `softirq-time-squeeze` has it: below so many a second, nobody notices.
const FEW: f64 = 10.0;
const EXPLAINED: [&str; 4] =
    ["TCP_OFO_QUEUE_PRUNE", "tcp_prune_ofo_queue", "tcp_prune_queue", "tcp_try_rmem_schedule"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let searched = window.delta("TcpExt", SEARCHED)?;
    let counters = risen(window, &LOST);
    // A segment that finds no room may be counted twice, by what was tried and by its own drop.
    let lost = counters.iter().map(Moved::by).max().unwrap_or(0);
    if lost == 0 && searched.rate < FEW {
        return Ok(Vec::new());
    }
    let (severity, sentence) = if lost == 0 {
        (
            Severity::Info,
            format!("The kernel searched for room in full receive buffers {}.", times(searched.by())),
        )
    } else {
        let severity = Severity::of_loss(lost, rise(window, "Tcp", "InSegs"));
        (
            severity,
            format!("Segments were thrown away {} as their socket's receive buffer was full.", times(lost)),
        )
    };
    let worst = worst(window);
    let subject = worst.as_ref().map_or("connections".into(), |one| named(window, one));
    let finding = Finding::new(severity, subject, sentence)
        .losing(window.rate(lost))
        .shown_by(counters)
        .shown_by([searched])
        .shown_by(worst.iter().map(|one| {
            let memory = &one.socket.memory;
            let fill = format!("{} of {} bytes, {} unread", memory.receive, memory.receive_limit, one.socket.receive_queue);
            Evidence::value("receive buffer", fill, Connections::FROM)
        }))
        .shown_by(window.setting(RECEIVE_BUFFER))
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .caution("Each busy connection may take a buffer that large, and this memory can't be swapped out: see net.ipv4.tcp_mem.");
    let (certainty, cause) = match &worst {
        Some(one)
            if u64::from(one.socket.receive_queue) * 4 >= u64::from(one.socket.memory.receive_limit) =>
        {
            (
                Certainty::Likely,
                "Its process reads more slowly than data comes, or in small segments that take more memory than data.",
            )
        }
        _ => (
            Certainty::Possible,
            "Segments were lost on their way, and those behind them fill the buffer; or it is small for the distance.",
        ),
    };
    Ok(vec![with_remedies(finding.because(certainty, cause), window, worst.as_ref())])
}

fn with_remedies(finding: Finding, window: &Window, worst: Option<&Connection>) -> Finding {
    let most = three(window, RECEIVE_BUFFER).map_or(0, |[.., most]| most);
    let limit = worst.map_or(most, |one| one.socket.memory.receive_limit.into());
    let larger = buffers(
        window,
        RECEIVE_BUFFER,
        "Let receive buffers of new connections become larger.",
        limit.max(most) * 2,
    );
    let own = "The buffer is smaller than the kernel would let it become: have the process not set SO_RCVBUF, which switches its growth off.";
    if limit < most {
        finding.remedy(Remedy::advice(own))
    } else {
        larger.into_iter().fold(finding, Finding::remedy)
    }
}

/// The connection that dropped most, or whose buffer is the fullest.
fn worst(window: &Window) -> Option<Connection> {
    if let Some((one, _)) = dropping(window).first() {
        return Some((*one).clone());
    }
    let after = &window.now::<Connections>().ok()?.0.all;
    let full = after.iter().filter(|one| one.socket.memory.receive >= one.socket.memory.receive_limit / 2);
    full.max_by_key(|one| one.socket.memory.receive).cloned()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(pruned: u64, searched: u64, limit: u32) -> Made {
        let counters = |pruned, searched| {
            Counters::from([
                ("TcpExt", "OfoPruned", pruned),
                ("TcpExt", "PruneCalled", searched),
                ("Tcp", "InSegs", pruned * 500),
            ])
        };
        let settings: Sysctls = [(RECEIVE_BUFFER, "4096\t131072\t6291456")].into_iter().collect();
        let mut full = connection("10.0.0.1:80", "10.0.0.2:40000", 7);
        full.socket.memory.receive_limit = limit;
        full.socket.memory.receive = limit;
        Made::default()
            .part(counters(0, 0), counters(pruned, searched))
            .part(Sysctls::default(), settings)
            .part(Connections::default(), Connections(vec![connection("[::1]:1", "[::1]:2", 8), full].into()))
            .owner(7, "rsync", 12)
    }

    #[test]
    fn a_buffer_as_large_as_it_may_be() {
        assert_snapshot!(made(60, 90, 6 << 20).told(&CHECK));
    }

    #[test]
    fn one_of_the_processs_own_choice_and_searches_alone() {
        let findings = made(60, 90, 65_536).check(&CHECK).unwrap();
        assert!(findings[0].remedies[0].what.contains("SO_RCVBUF"), "{findings:?}");
        assert_eq!(made(0, 900, 65_536).check(&CHECK).unwrap()[0].severity, Severity::Info);
        assert_eq!(made(0, 9, 65_536).check(&CHECK), Ok(Vec::new()));
    }
}
