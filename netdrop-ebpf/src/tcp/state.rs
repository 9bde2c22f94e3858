//! States of connections: what they become, how long they were what they were, and their end.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::{map, raw_tracepoint},
    maps::PerCpuArray,
    programs::RawTracePointContext,
};
use netdrop_common::{
    protocol,
    tcp::{
        FLAG_ACTIVE, FLAG_FIN_RECEIVED, FLAG_FIN_SENT, FLAG_KNOWN_SINCE_BIRTH, FLAG_PASSIVE, FLAG_RESET_SENT,
        TASK_AT_CLOSE, TASK_AT_CONNECT, TRANSITION_BUCKETS, TRANSITIONS, TcpConnection, TcpTransition, kind,
    },
    tcp_state,
};

use crate::{
    connection,
    count::{Counted, Cpu, add},
    event::{self, Subject},
    member::{member, setting, shared},
    program::{number, pointer},
    rtt,
};

/// By the state before and the one after.
#[map]
static TCP_TRANSITIONS: PerCpuArray<TcpTransition> = PerCpuArray::with_max_entries(TRANSITIONS as u32, 0);

/// A change of state.
struct Change {
    sk: *const u8,
    old: u8,
    new: u8,
    now: u64,
}

/// `(const struct sock *, const int oldstate, const int newstate)`, before the state is stored (`inet_sk_state_store`). Of MPTCP the
/// subflows are TCP's sockets, and connections like others; the one above them is none.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(context: RawTracePointContext) -> i32 {
    unsafe { changed(&context) };
    0
}

#[inline(always)]
unsafe fn changed(context: &RawTracePointContext) {
    unsafe {
        let sk = pointer(context, 0);
        let (old, new) = (number(context, 1) as u8, number(context, 2) as u8);
        let protocol: u16 = shared!(sk, sk_protocol);
        if protocol != u16::from(protocol::TCP) || old == new {
            return;
        }
        if new == tcp_state::CLOSE {
            rtt::last(sk);
        }
        if setting!(tracked) == 0 {
            return;
        }
        let change = Change { sk, old, new, now: bpf_ktime_get_ns() };
        // What is kept stays until `tcp_destroy_sock`: the reset of an aborted connection is still to come.
        follow(&change);
    }
}

#[inline(always)]
unsafe fn follow(change: &Change) {
    let Some(cpu) = Cpu::current() else { return };
    unsafe {
        let connection = connection(change, &cpu);
        if !connection.is_null() {
            learn(connection, change);
        }
        let subject = Subject::whole(change.sk, connection);
        let (kind, detail, wanted) = if change.new == tcp_state::CLOSE && change.old != tcp_state::LISTEN {
            (kind::CLOSE, change.old, setting!(closes) != 0)
        } else {
            (kind::STATE, change.new, setting!(states) != 0)
        };
        let counted = Counted { kind, detail, bytes: 0, segments: 0 };
        let passed = event::tell(&cpu, &subject, &counted, wanted, |event| {
            (*event).old_state = change.old;
            (*event).new_state = change.new;
            (*event).flags |= fins(change) | if is_abort(change) { FLAG_RESET_SENT } else { 0 };
        });
        if passed {
            count_transition(change, connection);
        }
        if !connection.is_null() {
            (*connection).since_ns = change.now;
        }
    }
}

/// What is known of the connection. It is followed from its birth on; one whose birth wasn't seen, from when its process closes it, so
/// that its end can tell that process.
#[inline(always)]
unsafe fn connection(change: &Change, cpu: &Cpu) -> *mut TcpConnection {
    let is_active = change.new == tcp_state::SYN_SENT;
    // A listener's clone has the listener's state before; with both sides calling it is `SYN_SENT`.
    let is_passive = change.new == tcp_state::SYN_RECV && change.old != tcp_state::SYN_SENT;
    let is_closed = matches!(change.new, tcp_state::FIN_WAIT1 | tcp_state::LAST_ACK);
    unsafe {
        let mut fresh = TcpConnection::default();
        if is_active || is_passive {
            fresh.started_ns = change.now;
            fresh.flags = FLAG_KNOWN_SINCE_BIRTH | if is_active { FLAG_ACTIVE } else { FLAG_PASSIVE };
        } else {
            let known = connection::find(change.sk);
            if !known.is_null() || !is_closed {
                return known;
            }
        }
        if is_active {
            fresh.task_at = TASK_AT_CONNECT;
            connection::current_task(&raw mut fresh.task);
        }
        let begun = connection::begin(change.sk, &fresh);
        // One that had no room at its birth was counted then; one that was there before is known to have been.
        if begun.is_null() && (is_active || is_passive) {
            cpu.account(|accounts| &raw mut (*accounts).untracked);
        }
        begun
    }
}

/// Keeps what the end shall tell and isn't there any more by then.
#[inline(always)]
unsafe fn learn(connection: *mut TcpConnection, change: &Change) {
    unsafe {
        connection::keep_inode(connection, change.sk);
        match change.new {
            tcp_state::ESTABLISHED => (*connection).established_ns = change.now,
            // These follow from close(2), shutdown(2) or exit.
            tcp_state::FIN_WAIT1 | tcp_state::LAST_ACK => {
                connection::keep_task(connection, TASK_AT_CLOSE);
                connection::mark(connection, FLAG_FIN_SENT);
            }
            tcp_state::CLOSE => {
                // A process holds its lock: it is that one which runs.
                let owned: u32 = member!(change.sk, sk_owned);
                if owned != 0 {
                    connection::keep_task(connection, TASK_AT_CLOSE);
                }
            }
            _ => {}
        }
    }
}

/// Whether it ends without the other side's doing and without an error: then its process aborts it, and a reset is sent right after this
/// (`__tcp_close` with unread data, `tcp_disconnect` where it doesn't linger). Not so with `TCP_REPAIR`, which nobody but CRIU uses.
#[inline(always)]
unsafe fn is_abort(change: &Change) -> bool {
    let is_open = matches!(change.old, tcp_state::ESTABLISHED | tcp_state::CLOSE_WAIT | tcp_state::FIN_WAIT1);
    let error: u32 = unsafe { member!(change.sk, sk_err) };
    change.new == tcp_state::CLOSE && is_open && error == 0
}

/// Whether a FIN was sent, by the state before; and whether one has come (`tcp_fin` marks it).
#[inline(always)]
unsafe fn fins(change: &Change) -> u16 {
    const SOCK_DONE: u64 = 1 << 1;
    let socket_flags: u64 = unsafe { member!(change.sk, sk_flags) };
    let received = if socket_flags & SOCK_DONE != 0 { FLAG_FIN_RECEIVED } else { 0 };
    let sent = match change.old {
        tcp_state::FIN_WAIT1 | tcp_state::FIN_WAIT2 | tcp_state::CLOSING | tcp_state::LAST_ACK => {
            FLAG_FIN_SENT
        }
        _ => 0,
    };
    received | sent
}

#[inline(always)]
unsafe fn count_transition(change: &Change, connection: *const TcpConnection) {
    let index = u32::from(change.old & 15) << 4 | u32::from(change.new & 15);
    let Some(transition) = TCP_TRANSITIONS.get_ptr_mut(index) else { return };
    unsafe {
        add(&raw mut (*transition).count, 1);
        if connection.is_null() || (*connection).since_ns == 0 {
            return;
        }
        let spent = change.now - (*connection).since_ns;
        add(&raw mut (*transition).timed, 1);
        add(&raw mut (*transition).spent_ns, spent);
        let buckets = (&raw mut (*transition).spent).cast::<u64>();
        add(buckets.add(bucket(spent / 1000)), 1);
    }
}

/// The number of bits of a time in µs.
#[inline(always)]
fn bucket(us: u64) -> usize {
    let mut bits = 0;
    let mut rest = us;
    let mut step = 32;
    while step > 0 {
        let is_above = u64::from(rest >> step != 0) * step;
        bits += is_above;
        rest >>= is_above;
        step /= 2;
    }
    let bucket = (bits + rest) as usize;
    if bucket < TRANSITION_BUCKETS { bucket } else { TRANSITION_BUCKETS - 1 }
}
