//! The verdicts, on made-up windows: one process each that leaves the same socket full.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::groups::Group;
use super::readers::{Kind, Process, Readers, Thread};
use super::*;
use crate::counters::cgroup::{Keyed, Quota};
use crate::counters::inet_sockets::tests::made as socket;
use crate::counters::process::Stat;
use crate::doctor::made::Made;
use crate::doctor::{Finding, Severity};

const SECOND: u64 = 1_000_000_000;

/// What happened in the five seconds.
#[derive(Clone)]
struct Story {
    state: char,
    tracer: u32,
    cpus: &'static str,
    /// Name, nanoseconds on a CPU, nanoseconds of waiting.
    threads: Vec<(&'static str, u64, u64)>,
    /// Of its cgroup at the end; nothing at the start.
    group: Group,
    faults: u64,
    lost: u32,
    uptime: u64,
}

fn story() -> Story {
    Story {
        state: 'S',
        tracer: 0,
        cpus: "0-3",
        threads: vec![("dnsmasq", SECOND / 10, SECOND / 100)],
        group: Group { path: "/system.slice/dnsmasq.service".into(), ..Group::default() },
        faults: 0,
        lost: 500,
        uptime: 100_000,
    }
}

impl Story {
    fn made(&self) -> Made {
        let process = |is_end: bool| Process {
            pid: 812,
            stat: Stat {
                command: "dnsmasq".into(),
                state: if is_end { self.state } else { 'S' },
                major_faults: if is_end { self.faults } else { 0 },
                ticks: if is_end { 100 } else { 50 },
                started: 4711,
            },
            threads: (self.threads.iter().zip(812..))
                .map(|((name, ran, waited), id)| {
                    let at = |number: u64| if is_end { SECOND + number } else { SECOND };
                    Thread { id, name: (*name).into(), ran: at(*ran), waited: Some(at(*waited)) }
                })
                .collect(),
            cpus: self.cpus.into(),
            tracer: self.tracer,
            groups: vec![self.folder()],
            sockets: vec![7],
        };
        let readers = |is_end: bool| {
            let group = Group {
                counts: Keyed::default(),
                stalled: self.group.stalled.map(|_| 0),
                ..self.group.clone()
            };
            let drops = if is_end { 3 + self.lost } else { 3 };
            let group = if is_end { self.group.clone() } else { group };
            Readers {
                sockets: vec![(
                    Kind::Udp,
                    socket("0.0.0.0:53", 7, (if is_end { 212_000 } else { 0 }, 212_992), drops),
                )],
                processes: vec![process(is_end)],
                groups: BTreeMap::from([(self.folder(), group)]),
                stalled: Some(if is_end { 1_500_000 } else { 0 }),
                cpus: 4,
                uptime: self.uptime,
                is_partial: false,
                is_cut: false,
            }
        };
        let counters = |errors, datagrams| {
            Counters::from([("Udp", "RcvbufErrors", errors), ("Udp", "InDatagrams", datagrams)])
        };
        Made::default()
            .part(readers(false), readers(true))
            .part(counters(0, 0), counters(u64::from(self.lost), 10_000))
            .part(Sysctls::default(), Sysctls::default())
    }

    /// Of its cgroup.
    fn folder(&self) -> String {
        format!("/sys/fs/cgroup{}", self.group.path)
    }

    /// The one check that finds something, and what.
    fn verdict(&self) -> (&'static str, Vec<Finding>) {
        let made = self.made();
        let found = CHECKS.iter().map(|check| (check.name, made.check(check).unwrap()));
        let found: Vec<_> = found.filter(|(_, findings)| !findings.is_empty()).collect();
        assert_eq!(found.len(), 1, "one verdict and no other: {found:?}");
        found.into_iter().next().unwrap()
    }
}

fn throttled() -> Story {
    let counts =
        [("nr_periods", 50), ("nr_throttled", 40), ("throttled_usec", 3_000_000), ("usage_usec", 1_000_000)];
    let quota = Some(Quota { quota: 20_000, period: 100_000 });
    let threads = vec![("dnsmasq", SECOND, 3 * SECOND)];
    Story { threads, group: Group { counts: counts.into(), quota, ..story().group }, ..story() }
}

fn short_of_memory() -> Story {
    let counts = [("max", 900), ("high", 0), ("current", 64 << 20), ("sock", 400_000)];
    Story {
        group: Group {
            counts: counts.into(),
            max: Some(64 << 20),
            stalled: Some(2_000_000),
            ..story().group
        },
        faults: 4000,
        ..story()
    }
}

#[test]
fn a_stopped_process() {
    let story = Story { state: 'T', threads: vec![("dnsmasq", 0, 0)], ..story() };
    assert_snapshot!(story.made().told(&stopped::CHECK));
    assert_eq!(story.verdict().0, "application-stopped");
}

#[test]
fn a_process_in_a_debugger_or_a_frozen_cgroup() {
    let (name, findings) = Story { state: 't', tracer: 99, ..story() }.verdict();
    assert_eq!(name, "application-stopped");
    assert!(findings[0].cause.contains("debugger (process 99)"), "{findings:?}");
    let thaw = |path: &str, is_old| {
        let group = Group { path: path.into(), is_frozen: true, is_old, ..Group::default() };
        let (name, findings) = Story { group, ..story() }.verdict();
        assert_eq!(name, "application-stopped");
        findings[0].remedies[0].now.concat()
    };
    assert_eq!(thaw("/a.service", false), "echo 0 > /sys/fs/cgroup/a.service/cgroup.freeze");
    assert_eq!(thaw(r"/my\x2da", true), r"echo THAWED > '/sys/fs/cgroup/my\x2da/freezer.state'");
}

#[test]
fn a_throttled_process() {
    assert_snapshot!(throttled().made().told(&throttled::CHECK));
    assert_eq!(throttled().verdict().0, "application-throttled");
}

#[test]
fn a_quota_that_is_hardly_used_up_is_no_cause() {
    let mut story = throttled();
    story.group.counts.set("throttled_usec", 200_000);
    story.threads = vec![("dnsmasq", SECOND / 10, 0)];
    assert_eq!(story.verdict().0, "application-reads-slowly");
}

#[test]
fn a_process_without_memory() {
    assert_snapshot!(short_of_memory().made().told(&memory::CHECK));
    assert_eq!(short_of_memory().verdict().0, "application-memory");
}

#[test]
fn a_cache_that_fills_its_limit_is_no_cause() {
    let mut story = short_of_memory();
    (story.group.stalled, story.faults) = (Some(100_000), 100);
    assert_eq!(story.verdict().0, "application-reads-slowly");
}

#[test]
fn a_process_without_a_cpu() {
    let story =
        Story { threads: vec![("dnsmasq", SECOND, 2 * SECOND), ("idle", 0, 0)], cpus: "0", ..story() };
    assert_snapshot!(story.made().told(&not_scheduled::CHECK));
    assert_eq!(story.verdict().0, "application-not-scheduled");
}

#[rstest::rstest]
#[case::of_one_thread(&[("dnsmasq", 5, 0)], "has one thread")]
#[case::beside_idle_ones(&[("worker", 0, 0), ("main", 5, 0)], "One thread does the work")]
#[case::collector(&[("java", 0, 0), ("GC Thread#0", 5, 0)], "garbage collector")]
fn one_thread_is_busy(#[case] threads: &[(&'static str, u64, u64)], #[case] cause: &str) {
    let threads = threads.iter().map(|(name, ran, waited)| (*name, ran * SECOND, *waited)).collect();
    let (name, findings) = Story { threads, ..story() }.verdict();
    assert_eq!(name, "application-one-busy-thread");
    assert!(findings[0].cause.contains(cause), "{findings:?}");
}

#[test]
fn a_busy_thread_as_it_is_told() {
    let threads = vec![("java", 0, 0), ("GC Thread#0", 5 * SECOND, 0)];
    assert_snapshot!(Story { threads, ..story() }.made().told(&one_busy_thread::CHECK));
}

#[test]
fn a_slow_reader() {
    assert_snapshot!(story().made().told(&reads_slowly::CHECK));
    assert_eq!(story().verdict().0, "application-reads-slowly");
}

#[rstest::rstest]
#[case::disk('D', 0, "waits for a disk")]
#[case::busy('R', 3, "busy with its own work")]
#[case::asleep('S', 0, "mostly sleeps")]
fn why_it_is_slow(#[case] state: char, #[case] seconds: u64, #[case] cause: &str) {
    let (_, findings) = Story { state, threads: vec![("a", seconds * SECOND, 0)], ..story() }.verdict();
    assert!(findings[0].cause.contains(cause), "{findings:?}");
}

#[test]
fn a_queue_that_is_full_and_loses_nothing_is_no_harm() {
    let (_, findings) = Story { lost: 0, ..story() }.verdict();
    assert_eq!(findings[0].severity, Severity::Info);
}

#[test]
fn a_process_that_nobody_saw_at_the_start() {
    // It is old: what it did before isn't of the window.
    let made = story().made().part(Readers::default(), end(&story()));
    assert!(CHECKS.iter().all(|check| made.check(check).unwrap().is_empty()));
    // It began within the window: all that it did is of it.
    let story = Story { uptime: 4711 + 300, ..story() };
    let made = story.made().part(Readers::default(), end(&story));
    assert_eq!(made.check(&reads_slowly::CHECK).unwrap().len(), 1);
}

fn end(story: &Story) -> Readers {
    let readers = Readers { uptime: story.uptime, ..Readers::default() };
    let socket = socket("0.0.0.0:53", 7, (212_000, 212_992), 503);
    let stat = Stat { command: "dnsmasq".into(), state: 'S', started: 4711, ..Stat::default() };
    let threads = vec![Thread { id: 812, ran: SECOND, waited: Some(0), ..Thread::default() }];
    let process = Process { pid: 812, stat, threads, sockets: vec![7], ..Process::default() };
    Readers { sockets: vec![(Kind::Udp, socket)], processes: vec![process], ..readers }
}

#[test]
fn sockets_that_are_read_are_nobodys_fault() {
    let quiet = || Readers {
        sockets: vec![
            (Kind::Udp, socket("0.0.0.0:53", 7, (1000, 212_992), 3)),
            (Kind::Listener, socket("0.0.0.0:80", 8, (3, 128), 0)),
            (Kind::Connection, socket("10.0.0.1:80", 9, (4096, 131_072), 0)),
        ],
        ..end(&story())
    };
    let counters = || Counters::from([("Udp", "RcvbufErrors", 0)]);
    let made = Made::default().part(quiet(), quiet()).part(counters(), counters());
    assert!(CHECKS.iter().all(|check| made.check(check).unwrap().is_empty()));
}

#[test]
fn who_may_not_be_looked_at_is_told() {
    let made = story().made();
    let hidden = Readers { processes: Vec::new(), is_partial: true, ..end(&story()) };
    let made = made.part(Readers::default(), hidden);
    let why = made.check(&stopped::CHECK).unwrap_err();
    assert_eq!(
        why,
        "/proc/PID/fd: not all processes could be looked at: root may, and a host of very many takes longer than netdrop does"
    );
    assert!(story().made().since_boot().check(&stopped::CHECK).unwrap_err().contains("two readings"));
}

/// What a connection ever dropped isn't of the window.
#[test]
fn a_connection_that_may_be_older_than_the_window() {
    let made = |is_cut| {
        let unread = (Kind::Connection, socket("10.0.0.1:80", 7, (131_072, 131_072), 900));
        let after = Readers { sockets: vec![unread], ..end(&story()) };
        let before = Readers { is_cut, sockets: Vec::new(), ..end(&story()) };
        let shut = |count| Counters::from([("TcpExt", "TCPToZeroWindowAdv", count)]);
        let made = Made::default().part(before, after).part(shut(0), shut(1));
        made.check(&reads_slowly::CHECK).unwrap()[0].rate
    };
    assert_eq!((made(false), made(true)), (180.0, 0.0));
}

#[test]
fn connections_that_were_not_looked_at_are_told() {
    let cut = || Readers { is_cut: true, ..Readers::default() };
    let why = Made::default().part(cut(), cut()).check(&stopped::CHECK).unwrap_err();
    assert!(why.contains("there are very many"), "{why}");
}

#[test]
fn of_connections_those_with_unread_data_are_kept() {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use crate::doctor::{Part as _, Place};
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients = [(); 2].map(|()| TcpStream::connect(server.local_addr().unwrap()).unwrap());
    let _peers = [(); 2].map(|()| server.accept().unwrap());
    clients[0].write_all(&[0; 1000]).unwrap();
    let readers = Readers::read(&Place::new("/")).unwrap();
    let waits = clients.map(|client| {
        let remote = client.local_addr().unwrap();
        let mut of_it = readers.sockets.iter().filter(|(_, one)| one.remote == remote);
        of_it.next().map(|(_, one)| one.receive_queue)
    });
    assert_eq!(waits, [Some(1000), None]);
}

/// This machine's own sockets and processes can be read, also without privileges.
#[test]
fn our_own_process_is_read() {
    use crate::doctor::{Part as _, Place};
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let readers = Readers::read(&Place::new("/")).unwrap();
    let local = socket.local_addr().unwrap();
    let (_, ours) = readers.sockets.iter().find(|(_, one)| one.local == local).unwrap();
    let inode = ours.socket.inode;
    if let Some(process) = readers.processes.iter().find(|process| process.sockets.contains(&inode)) {
        assert_eq!(process.pid, std::process::id());
        assert!(process.threads.iter().any(|thread| thread.ran > 0), "{process:?}");
    }
    assert!(readers.cpus > 0 && readers.uptime > 0);
}
