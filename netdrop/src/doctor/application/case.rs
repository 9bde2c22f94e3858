//! A process that leaves sockets unread: what it lost by it, and what it did meanwhile.

use std::collections::HashMap;

use super::groups::Group;
use super::readers::{Kind, Process, Readers, TICK, Thread};
use crate::counters::inet_sockets::InetSocket;
use crate::doctor::{Evidence, Finding, Moved, Part as _, Severity, Span, Unread, Window};

/// Of UDP's drops at a full queue.
const UDP: [&str; 2] = ["SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb"];
/// Of a listener's at a full accept queue; kernels without that reason are left to `tcp-listen-overflow`.
const LISTENER: [&str; 1] = ["TCP_LISTEN_OVERFLOW"];
/// Of a connection's while its window is shut.
const CONNECTION: [&str; 1] = ["TCP_ZEROWINDOW"];

/// A socket that is short of a reader.
pub struct Short<'w> {
    pub kind: Kind,
    pub socket: &'w InetSocket,
    /// What it dropped in the window.
    pub drops: Moved,
}

/// A process, and its sockets that are short.
pub struct Case<'w> {
    pub window: &'w Window<'w>,
    pub before: Option<&'w Process>,
    pub after: &'w Process,
    /// How many others hold the first socket as well.
    pub others: usize,
    /// The one that lost most comes first.
    pub sockets: Vec<Short<'w>>,
    readers: (&'w Readers, &'w Readers),
}

/// What a thread did in the window.
pub struct Ran<'w> {
    pub thread: &'w Thread,
    /// Nanoseconds on a CPU.
    pub on_cpu: u64,
    /// Nanoseconds in which it waited for one.
    pub waited: Option<u64>,
}

/// Each process that leaves sockets unread. Of several that hold the same sockets, the first speaks for all: they are workers of one kind.
pub fn all<'w>(window: &'w Window<'w>) -> Result<Vec<Case<'w>>, Unread> {
    if window.span == Span::SinceBoot {
        let why = "who reads is told by two readings, some seconds apart: leave --since-boot away";
        return Err(Unread::new(Readers::FROM, why));
    }
    let (before, after) = window.both::<Readers>()?;
    let mut cases: Vec<Case> = Vec::new();
    let mut unknown = false;
    let known: HashMap<u64, &InetSocket> =
        before.sockets.iter().map(|(_, socket)| (socket.socket.cookie, socket)).collect();
    let holders = holders(&after.processes);
    let netns = Netns::of(window, before);
    let was = |socket: &InetSocket| known.get(&socket.socket.cookie).copied();
    let shorts = after.sockets.iter();
    for short in shorts.filter_map(|(kind, socket)| short(window, &netns, was(socket), *kind, socket)) {
        let inode = short.socket.socket.inode;
        let Some((&holder, others)) = holders.get(&inode).and_then(|holders| holders.split_first()) else {
            unknown |= inode != 0;
            continue;
        };
        let others = others.len();
        match cases.iter_mut().find(|case| case.after.pid == holder.pid) {
            Some(case) => case.sockets.push(short),
            None => cases.push(Case {
                window,
                before: before.process(holder),
                after: holder,
                others,
                sockets: vec![short],
                readers: (before, after),
            }),
        }
    }
    for case in &mut cases {
        case.sockets.sort_by_key(|short| std::cmp::Reverse((short.drops.by(), short.socket.receive_queue)));
    }
    if cases.is_empty() && unknown && after.is_partial {
        let why = "not all processes could be looked at: root may, and a host of very many takes longer than netdrop does";
        return Err(Unread::new("/proc/PID/fd", why));
    }
    if cases.is_empty() && after.is_cut {
        let why = "some of the connections with unread data were looked at: there are very many";
        return Err(Unread::new("sock_diag (ss -tuanm)", why));
    }
    Ok(cases)
}

/// Who holds each socket, by its inode.
fn holders(processes: &[Process]) -> HashMap<u32, Vec<&Process>> {
    let mut holders: HashMap<u32, Vec<&Process>> = HashMap::new();
    for process in processes {
        for inode in &process.sockets {
            holders.entry(*inode).or_default().push(process);
        }
    }
    holders
}

/// What is so of all sockets of the namespace: what some of them lost in the window for want of a reader.
struct Netns<'w> {
    /// At the start.
    before: &'w Readers,
    udp_lost: bool,
    listeners_lost: bool,
    windows_shut: bool,
}

impl<'w> Netns<'w> {
    fn of(window: &Window, before: &'w Readers) -> Self {
        let rose = |group, name| window.delta(group, name).is_ok_and(|moved| moved.by() > 0);
        let of_udp = |group| rose(group, "RcvbufErrors") || rose(group, "MemErrors");
        Self {
            before,
            udp_lost: of_udp("Udp") || of_udp("Udp6"),
            listeners_lost: rose("TcpExt", "ListenOverflows"),
            windows_shut: rose("TcpExt", "TCPToZeroWindowAdv") || rose("TcpExt", "TCPZeroWindowDrop"),
        }
    }
}

/// Whether it lost something for want of a reader, or is about to.
fn short<'w>(
    window: &Window,
    netns: &Netns,
    was: Option<&InetSocket>,
    kind: Kind,
    socket: &'w InetSocket,
) -> Option<Short<'w>> {
    // One that wasn't there dropped nothing; one that may have been there, nobody knows.
    let unknown = if netns.before.is_cut && kind == Kind::Connection { socket.memory.drops } else { 0 };
    let pair = (was.map_or(unknown, |was| was.memory.drops), socket.memory.drops);
    let drops = Moved::of_32_bits("drops", pair, window.lasted, "sock_diag (ss -tuanm)");
    let memory = &socket.memory;
    let (is_full, lost) = match kind {
        // Three quarters: a datagram that needs more than what is left finds it full.
        Kind::Udp => (u64::from(memory.receive) * 4 >= u64::from(memory.receive_limit) * 3, netns.udp_lost),
        Kind::Listener => (socket.receive_queue > socket.send_queue, netns.listeners_lost),
        // Data with what the kernel needs to keep it: the window shuts at nearly all of the limit (`__tcp_select_window`), where segments are small before.
        Kind::Connection => {
            let is_full = |one: &InetSocket| {
                one.receive_queue > 0 && memory_is_half(one.memory.receive, one.memory.receive_limit)
            };
            let shut = was.is_some_and(is_full) || netns.windows_shut;
            (is_full(socket) && shut, false)
        }
    };
    let has_limit = memory.receive_limit > 0 || kind == Kind::Listener;
    let is_full = is_full && has_limit;
    (is_full || (lost && drops.by() > 0)).then_some(Short { kind, socket, drops })
}

fn memory_is_half(taken: u32, limit: u32) -> bool {
    u64::from(taken) * 2 >= u64::from(limit) && limit > 0
}

impl<'w> Case<'w> {
    /// `socket 0.0.0.0:5353 of dnsmasq(812)`
    pub fn subject(&self) -> String {
        let Process { pid, stat, .. } = self.after;
        let what = match &self.sockets[..] {
            [Short { kind: Kind::Udp, socket, .. }] => format!("socket {}", socket.local),
            [Short { kind: Kind::Listener, socket, .. }] => format!("listener {}", socket.local),
            [Short { socket, .. }] => format!("connection {} from {}", socket.local, socket.remote),
            several => format!("{} sockets", several.len()),
        };
        let others = if self.others > 0 { format!("+{}", self.others) } else { String::new() };
        format!("{what} of {}({pid}){others}", stat.command)
    }

    /// How many packets were lost. What a connection drops while its window is shut is sent again.
    pub fn lost(&self) -> u64 {
        let lossy = self.sockets.iter().filter(|short| short.kind != Kind::Connection);
        lossy.map(|short| short.drops.by()).sum()
    }

    /// Packets lost are judged by their share; a reader that is kept from reading is trouble in any case.
    pub fn severity(&self) -> Severity {
        let passed = |group, name| self.window.delta(group, name).map_or(0, |moved| moved.by());
        let passed =
            passed("Udp", "InDatagrams") + passed("Udp6", "InDatagrams") + passed("Tcp", "PassiveOpens");
        Severity::of_loss(self.lost(), passed).max(Severity::Warning)
    }

    /// What all verdicts have in common: the sockets' queues and drops.
    pub fn finding(&self, severity: Severity, sentence: impl Into<String>) -> Finding {
        /// More of them say nothing new.
        const SHOWN: usize = 3;
        let rate = self.sockets.iter().map(|short| short.drops.rate).sum();
        let mut finding = Finding::new(severity, self.subject(), sentence).losing(rate);
        let mut explained = Vec::new();
        for (index, short) in self.sockets.iter().enumerate() {
            let (names, queue): (&[_], _) = match short.kind {
                Kind::Udp => (&UDP, (short.socket.memory.receive, short.socket.memory.receive_limit)),
                Kind::Listener => (&LISTENER, (short.socket.receive_queue, short.socket.send_queue)),
                Kind::Connection => {
                    (&CONNECTION, (short.socket.memory.receive, short.socket.memory.receive_limit))
                }
            };
            explained
                .extend(names.iter().copied().filter(|name| !explained.contains(name)).collect::<Vec<_>>());
            if index < SHOWN {
                let lost = Some(short.drops.clone()).filter(|drops| drops.by() > 0);
                let what = if short.kind == Kind::Listener { "connections" } else { "bytes" };
                let queue = format!("{} of {} {what}", queue.0, queue.1);
                finding = finding.shown_by(lost).shown_by([Evidence::value(
                    "receive queue",
                    queue,
                    "sock_diag (ss -tuanm)",
                )]);
            }
        }
        finding.explains(&explained)
    }

    /// What its threads did, the busiest first; nothing where it wasn't known at the start.
    pub fn threads(&self) -> Vec<Ran<'w>> {
        // One that began within the window began with nothing.
        let age = self.readers.1.uptime.saturating_sub(self.after.stat.started).saturating_mul(TICK);
        if self.before.is_none() && age > self.lasted() {
            return Vec::new();
        }
        let was = |id| self.before.and_then(|before| before.threads.iter().find(|one| one.id == id));
        let mut ran: Vec<_> = (self.after.threads.iter())
            .map(|thread| {
                let old = was(thread.id);
                let waited = thread
                    .waited
                    .map(|waited| waited.saturating_sub(old.and_then(|old| old.waited).unwrap_or(0)));
                Ran { thread, on_cpu: thread.ran.saturating_sub(old.map_or(0, |old| old.ran)), waited }
            })
            .collect();
        ran.sort_by_key(|one| std::cmp::Reverse(one.on_cpu));
        ran
    }

    /// The cgroups that hold it at both ends, the innermost first, with their folders.
    pub fn groups(&self) -> impl Iterator<Item = (&'w str, &'w Group, &'w Group)> {
        let (before, after) = self.readers;
        self.after.groups.iter().filter_map(move |folder| {
            Some((folder.as_str(), before.groups.get(folder)?, after.groups.get(folder)?))
        })
    }

    /// A counter of a cgroup.
    pub fn moved(&self, name: &str, file: &str, (folder, before, after): (&str, &Group, &Group)) -> Moved {
        let of = |group: &Group| group.counts.get(name).unwrap_or(0);
        self.window.moved(name, (of(before), of(after)), format!("{folder}/{file}"))
    }

    /// CPUs that are online.
    pub fn cpus(&self) -> u32 {
        self.readers.1.cpus.max(1)
    }

    /// Nanoseconds in which some task of the host waited for a CPU.
    pub fn host_stalled(&self) -> Option<Moved> {
        let (before, after) = self.readers;
        let pair = before.stalled.zip(after.stalled)?;
        Some(self.window.moved("some total (µs)", pair, "/proc/pressure/cpu"))
    }

    /// The window in nanoseconds.
    pub fn lasted(&self) -> u64 {
        u64::try_from(self.window.lasted.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// A share of the window in percent.
    pub fn share(&self, nanoseconds: u64) -> u64 {
        nanoseconds.saturating_mul(100) / self.lasted()
    }

    /// CPU time that the whole process used in the window; by clock ticks, which count threads that have ended as well.
    pub fn used(&self) -> u64 {
        let ticks = self.before.map(|before| self.after.stat.ticks.saturating_sub(before.stat.ticks));
        ticks.map_or(0, |ticks| ticks * TICK)
    }
}
