//! `tcp-buffer-small`: live connections that a buffer keeps from being faster. A sender's kernel tells the time in which it could have
//! sent more and its send buffer was full (`tcp_chrono_start`, `net/ipv4/tcp_output.c`); a receiver's buffer is too small where what comes
//! within a round trip is as much as it can advertise.
//!
//! The kernel counts that time only where what is in the full buffer is still to be sent, as with pacing (BBR, fq): a sender that it doesn't
//! tell of may be limited nevertheless.

use super::{Connections, RECEIVE_BUFFER, SEND_BUFFER, buffers, named, three};
use crate::counters::tcp_connections::{Connection, Info};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::bytes;

pub const CHECK: Check = Check {
    name: "tcp-buffer-small",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Connections>(), source::<Sysctls>()],
    run,
};

/// One in so many parts of the time in which there was something to send.
const NOTICEABLE: u64 = 5;
/// Less than so many µs of sending in the window is no transfer.
const SHORT_US: u64 = 500_000;
/// Nearer than this, a buffer is full as its reader is slow: the least buffers hold a gigabit a second over it.
const NEAR_US: u32 = 1000;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Connections>()?;
    let earlier = before.earlier();
    let known: Vec<(&Connection, Info)> =
        (after.0.all.iter()).filter_map(|one| Some((one, earlier.was(one, |was| was.info)?))).collect();
    let limited = known.iter().filter_map(|(one, was)| {
        let busy = one.info.busy_us.saturating_sub(was.busy_us);
        let limited = one.info.send_buffer_limited_us.saturating_sub(was.send_buffer_limited_us);
        let is_far = one.info.round_trip_us >= NEAR_US;
        (is_far && busy >= SHORT_US && limited * NOTICEABLE >= busy).then_some((one, busy, limited))
    });
    let sender = limited.max_by_key(|(.., limited)| *limited);
    let received = known.iter().map(|(one, was)| (one, one.info.received.saturating_sub(was.received)));
    let takers = received.filter(|(one, received)| is_receiver_limited(window, one, *received));
    let taker = takers.max_by_key(|(_, received)| *received);
    Ok(sender
        .map(|(one, busy, limited)| of_sender(window, one, busy, limited))
        .into_iter()
        .chain(taker.map(|(one, received)| of_receiver(window, one, received)))
        .collect())
}

fn of_sender(window: &Window, one: &Connection, busy: u64, limited: u64) -> Finding {
    let limit = u64::from(one.socket.memory.send_limit);
    let most = three(window, SEND_BUFFER).map_or(0, |[.., most]| most);
    let sentence = format!(
        "Its send buffer of {} kept it from sending for {} % of the time in which it had data to send.",
        bytes(limit),
        limited * 100 / busy.max(1)
    );
    let finding = Finding::new(Severity::Warning, named(window, one), sentence)
        .shown_by([
            Evidence::value("limited by the send buffer", format!("{limited} of {busy} µs"), Connections::FROM),
            Evidence::value("rate × round trip", bytes(product(one.info.delivery_rate, one.info.round_trip_us)), Connections::FROM),
        ])
        .shown_by(window.setting(SEND_BUFFER))
        .caution("Each busy connection may take a buffer that large, and this memory can't be swapped out: see net.ipv4.tcp_mem.");
    let larger = buffers(window, SEND_BUFFER, "Let send buffers become larger.", limit.max(most) * 2);
    match larger {
        Some(larger) if limit >= most => finding
            .because(Certainty::Certain, "The path and the peer would take more; tcp_wmem allows no larger buffer.")
            .remedy(larger),
        _ => finding
            .because(Certainty::Likely, "The path and the peer would take more; the process set SO_SNDBUF, which switches the buffer's growth off.")
            .remedy(Remedy::advice("Have the process not set SO_SNDBUF.")),
    }
}

/// So much comes within a round trip that the window must be closed before the first of it is acknowledged. About half of the buffer
/// can be advertised (`tcp_adv_win_scale` 1, and what kernels from 6.6 on measure of full segments). Its process reads what comes.
fn is_receiver_limited(window: &Window, one: &Connection, received: u64) -> bool {
    let limit = u64::from(one.socket.memory.receive_limit);
    let in_flight = product(per_second(window, received), one.info.receive_round_trip_us);
    let is_at_most = three(window, RECEIVE_BUFFER).is_some_and(|[.., most]| limit >= most);
    let is_far = one.info.receive_round_trip_us >= NEAR_US;
    is_far && is_at_most && in_flight * 5 >= limit * 2 && u64::from(one.socket.receive_queue) * 8 < limit
}

fn of_receiver(window: &Window, one: &Connection, received: u64) -> Finding {
    let limit = u64::from(one.socket.memory.receive_limit);
    let rate = per_second(window, received);
    let trip = one.info.receive_round_trip_us;
    let in_flight = product(rate, trip);
    let sentence = format!(
        "Its receive buffer of {} is all that its peer can send within a round trip of {trip} µs.",
        bytes(limit)
    );
    let finding = Finding::new(Severity::Warning, named(window, one), sentence)
        .because(Certainty::Likely, "tcp_rmem allows no larger buffer, and the path is long: rate × round trip fills it.")
        .shown_by([
            Evidence::value("rate × round trip", bytes(in_flight), Connections::FROM),
            Evidence::value("rate", format!("{}/s", bytes(rate)), Connections::FROM),
        ])
        .shown_by(window.setting(RECEIVE_BUFFER))
        .caution("Each busy connection may take a buffer that large, and this memory can't be swapped out: see net.ipv4.tcp_mem.");
    // As much again, for what the kernel needs to keep it, and twice that, as the rate was held down.
    let larger =
        buffers(window, RECEIVE_BUFFER, "Let receive buffers become larger.", (in_flight * 4).max(limit * 2));
    larger.into_iter().fold(finding, Finding::remedy)
}

fn per_second(window: &Window, count: u64) -> u64 {
    let micros = u64::try_from(window.lasted.as_micros()).unwrap_or(u64::MAX).max(1);
    u64::try_from(u128::from(count) * 1_000_000 / u128::from(micros)).unwrap_or(u64::MAX)
}

/// Bytes a second times µs, in bytes.
fn product(rate: u64, micros: u32) -> u64 {
    u64::try_from(u128::from(rate) * u128::from(micros) / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::inet_sockets::Listed;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(change: impl Fn(&mut Connection)) -> Made {
        let before = connection("10.0.0.1:80", "192.0.2.7:40000", 7);
        let mut after = before.clone();
        change(&mut after);
        let settings: Sysctls =
            [(RECEIVE_BUFFER, "4096\t131072\t6291456"), (SEND_BUFFER, "4096\t16384\t4194304")]
                .into_iter()
                .collect();
        Made::default()
            .part(Connections(vec![before].into()), Connections(vec![after].into()))
            .part(Sysctls::default(), settings)
            .owner(7, "nginx", 12)
    }

    #[test]
    fn a_sender_whose_buffer_is_as_large_as_it_may_be() {
        let made = made(|one| {
            one.socket.memory.send_limit = 4 << 20;
            (one.info.busy_us, one.info.send_buffer_limited_us) = (5_000_000, 3_000_000);
            (one.info.delivery_rate, one.info.round_trip_us) = (20_000_000, 150_000);
        });
        assert_snapshot!(made.told(&CHECK));
    }

    #[test]
    fn a_receiver_far_away() {
        // 150 MB in five seconds, over 100 ms: 3 MB are on their way.
        let made = made(|one| {
            one.socket.memory.receive_limit = 6 << 20;
            (one.info.received, one.info.receive_round_trip_us) = (150_000_000, 100_000);
        });
        let findings = made.check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now, ["sysctl -w net.ipv4.tcp_rmem=\"4096 131072 16777216\""]);
    }

    /// Its life's bytes and time aren't of the five seconds.
    #[test]
    fn one_that_was_not_listed_at_the_start_is_not_judged() {
        let mut old = connection("10.0.0.1:80", "192.0.2.7:40000", 7);
        old.socket.memory.receive_limit = 6 << 20;
        (old.info.received, old.info.receive_round_trip_us) = (150_000_000, 100_000);
        (old.info.busy_us, old.info.send_buffer_limited_us) = (5_000_000, 3_000_000);
        old.info.round_trip_us = 150_000;
        let made = |is_cut| {
            let before = Connections(Listed { all: Vec::new(), is_cut });
            made(|_| ()).part(before, Connections(vec![old.clone()].into()))
        };
        assert_eq!(made(true).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(false).check(&CHECK).unwrap().len(), 2);
    }

    #[test]
    fn near_idle_and_slow_ones_are_fine() {
        let near = made(|one| {
            one.socket.memory.receive_limit = 6 << 20;
            (one.info.received, one.info.receive_round_trip_us) = (150_000_000, 300);
            (one.info.busy_us, one.info.send_buffer_limited_us) = (5_000_000, 30_000);
        });
        assert_eq!(near.check(&CHECK), Ok(Vec::new()));
        let short = made(|one| (one.info.busy_us, one.info.send_buffer_limited_us) = (400, 400));
        assert_eq!(short.check(&CHECK), Ok(Vec::new()));
    }
}
