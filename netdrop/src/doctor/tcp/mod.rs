//! TCP: its listeners' queues, its connections' buffers, its ports, memory and timers.

mod backlog;
mod buffer_small;
mod keepalive;
mod listen;
mod memory;
mod options;
mod parts;
mod paws;
mod ports;
mod receive_buffer;
mod retransmits;
mod syn_cookies;
mod syn_queue;
mod syn_retransmits;
mod time_wait;
mod zero_window;

use parts::{Connections, Listeners, PortsInUse};

use super::parts::Sysctls;
use super::{Check, Moved, Remedy, Window};
use crate::counters::tcp_connections::Connection;

pub const CHECKS: &[Check] = &[
    listen::CHECK,
    syn_queue::CHECK,
    syn_cookies::CHECK,
    syn_retransmits::CHECK,
    retransmits::CHECK,
    backlog::CHECK,
    receive_buffer::CHECK,
    zero_window::CHECK,
    buffer_small::CHECK,
    memory::CHECK,
    ports::CHECK,
    time_wait::CHECK,
    paws::CHECK,
    options::CHECK,
    keepalive::CHECK,
];

const RECEIVE_BUFFER: &str = "net.ipv4.tcp_rmem";
const SEND_BUFFER: &str = "net.ipv4.tcp_wmem";

/// Those of TCP's counters in `netstat` that rose. What this kernel lacks hasn't.
fn risen(window: &Window, names: &[&str]) -> Vec<Moved> {
    let counters = names.iter().filter_map(|name| window.delta("TcpExt", name).ok());
    counters.filter(|moved| moved.by() > 0).collect()
}

/// By how much a counter rose; nothing where this kernel lacks it.
fn rise(window: &Window, group: &str, name: &str) -> u64 {
    window.delta(group, name).map_or(0, |moved| moved.by())
}

/// A setting of three numbers: `tcp_rmem`, `tcp_mem`.
fn three(window: &Window, key: &str) -> Option<[u64; 3]> {
    let mut numbers =
        window.now::<Sysctls>().ok()?.get(key)?.split_ascii_whitespace().map(|word| word.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// `tcp_rmem` or `tcp_wmem` so that a buffer may become that large, and never less than the kernel's own defaults (`tcp_init`,
/// `net/ipv4/tcp.c`). Nothing where that is so.
fn buffers(window: &Window, key: &str, what: &str, enough: u64) -> Option<Remedy> {
    let now = three(window, key)?;
    let usual = if key == RECEIVE_BUFFER { [4096, 131_072, 6 << 20] } else { [4096, 16_384, 4 << 20] };
    let enough = [0, 0, enough.next_power_of_two().min(LARGEST_BUFFER)];
    let sizes: Vec<u64> = (0..3).map(|place| now[place].max(usual[place]).max(enough[place])).collect();
    let text = sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    (sizes != now).then(|| Remedy::sysctl(window, what, &[(key, &text)]))
}

/// A tenth of a second at 2.5 Gbit/s, and as much again for what the kernel needs to keep it.
const LARGEST_BUFFER: u64 = 64 << 20;

/// Connections that dropped segments in the window, most first.
fn dropping<'w>(window: &'w Window) -> Vec<(&'w Connection, Moved)> {
    use super::Part as _;
    let Ok((before, after)) = window.both::<Connections>() else { return Vec::new() };
    let earlier = before.earlier();
    let drops = |one: &'w Connection| {
        let pair = (earlier.was(one, |was| was.socket.memory.drops)?, one.socket.memory.drops);
        Some((one, Moved::of_32_bits("drops", pair, window.lasted, Connections::FROM)))
    };
    let mut found: Vec<_> =
        after.0.all.iter().filter_map(drops).filter(|(_, drops)| drops.by() > 0).collect();
    found.sort_by_key(|(_, drops)| std::cmp::Reverse(drops.by()));
    found
}

/// `connection 10.0.0.1:80 – 10.0.0.2:40000 of nginx(12)`.
fn named(window: &Window, connection: &Connection) -> String {
    let socket = &connection.socket;
    format!("connection {} – {}{}", socket.local, socket.remote, window.of_owner(socket.socket))
}
