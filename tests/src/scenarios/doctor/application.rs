//! Those who should read: stopped, out of their quota, without memory, without a CPU, busy, or slow.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::Value;

use super::super::owner::{Cgroup, Holder};
use super::PATIENCE;
use super::udp::overfill;
use crate::doctor::{Told, apply, examined};
use crate::lab::{Lab, Namespace, Skip, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-application-stopped", stopped),
        ("doctor-application-frozen", frozen),
        ("doctor-application-throttled", throttled),
        ("doctor-application-slow-beside-throttled", slow_beside_throttled),
        ("doctor-application-memory", memory),
        ("doctor-application-not-scheduled", not_scheduled),
        ("doctor-application-busy-thread", busy_thread),
        ("doctor-application-shut-window", shut_window),
    ])
}

/// Longer than many periods of a quota.
const LOAD: Duration = Duration::from_millis(1500);
/// A datagram each two milliseconds.
const PAUSE: Duration = Duration::from_millis(2);
/// So long without a datagram, a socket is read empty.
const QUIET: Duration = Duration::from_millis(300);

/// What a reader does after each datagram.
#[derive(Clone, Copy, Default)]
struct Habit {
    /// CPU time.
    burns: Duration,
    /// Time asleep.
    sleeps: Duration,
    /// Bytes of memory that it goes through.
    touches: usize,
    /// The file that they are of.
    file: Option<RawFd>,
}

/// A process that alone holds a socket of a small queue, and reads from it.
struct Reader {
    process: Holder,
    address: SocketAddr,
}

impl Reader {
    fn new(namespace: &Namespace, habit: Habit) -> Result<Self> {
        let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
        setsockopt(&socket, sockopt::RcvBuf, &16_384)?;
        let (address, descriptor) = (socket.local_addr()?, socket.as_raw_fd());
        Ok(Self { process: Holder::fork_and(|| read_on(descriptor, habit))?, address })
    }

    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn subject(&self) -> Result<String> {
        let command = std::fs::read_to_string("/proc/self/comm")?;
        Ok(format!("socket {} of {}({})", self.address, command.trim_end(), self.pid()))
    }

    /// Whether it is what a finding is about.
    fn expect(&self, finding: &Value) -> Result<()> {
        let subject = self.subject()?;
        ensure!(finding["subject"] == subject.as_str(), "{} and not {subject}", finding["subject"]);
        ensure!(finding["severity"] != "info", "{finding}");
        let drops = &finding["evidence"][0];
        ensure!(
            drops["counter"] == "drops" && drops["after"].as_u64() > drops["before"].as_u64(),
            "{finding}"
        );
        Ok(())
    }
}

/// Reads for ever, in system calls alone.
fn read_on(descriptor: RawFd, habit: Habit) {
    let memory = touchable(habit.touches, habit.file);
    let mut buffer = [0_u8; 2048];
    loop {
        // SAFETY: the buffer is as long as is said.
        unsafe { libc::recv(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        for place in (0..habit.touches).step_by(4096) {
            // SAFETY: the mapping has so many bytes; a file's pages are read alone.
            unsafe {
                let byte = memory.add(place);
                if habit.file.is_some() {
                    byte.read_volatile();
                } else {
                    byte.write_volatile(1);
                }
            }
        }
        let start = cpu_time();
        while cpu_time() < start + habit.burns {}
        let sleep = libc::timespec {
            tv_sec: habit.sleeps.as_secs().cast_signed(),
            tv_nsec: habit.sleeps.subsec_nanos().into(),
        };
        // SAFETY: the time is whole; nobody wants to know what is left.
        unsafe { libc::nanosleep(&raw const sleep, std::ptr::null_mut()) };
    }
}

/// So many bytes of memory that none has been touched of, or of a file that isn't read ahead.
fn touchable(bytes: usize, file: Option<RawFd>) -> *mut u8 {
    let flags = if file.is_some() { libc::MAP_SHARED } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    let protection = if file.is_some() { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE };
    let length = bytes.max(4096);
    // SAFETY: a mapping of its own; one that isn't made has no bytes to be touched.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), length, protection, flags, file.unwrap_or(-1), 0);
        libc::madvise(memory, length, libc::MADV_RANDOM);
        memory.cast()
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Sends to each, a datagram each two milliseconds.
fn load(namespace: &Namespace, readers: &[&Reader]) -> Result<()> {
    let sender = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let start = Instant::now();
    while start.elapsed() < LOAD {
        for reader in readers {
            sender.send_to(&[0; 1000], reader.address)?;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn examine(bench: &Bench, lab: &Lab, readers: &[&Reader]) -> Result<Told> {
    examined(bench, &lab.receiver, "application,udp", || load(&lab.receiver, readers))
}

/// The finding of the cause stands before that of the queue.
fn cause_before_queue(told: &Told, cause: &str) -> Result<()> {
    let place = |check: &str| told.findings.iter().position(|finding| finding["check"] == check);
    ensure!(place(cause) < place("udp-receive-queue-full"), "{:?}", told.findings);
    Ok(())
}

/// After SIGSTOP nobody reads; the printed command lets it go on.
fn stopped(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-stopped";
    let lab = Lab::alone()?;
    let reader = Reader::new(&lab.receiver, Habit::default())?;
    kill(Pid::from_raw(reader.pid().cast_signed()), Signal::SIGSTOP)?;
    let told =
        examined(bench, &lab.receiver, "application,udp", || overfill(&lab.receiver, reader.address, 50))?;
    let finding = told.one(CHECK)?;
    reader.expect(finding)?;
    ensure!(finding["certainty"] == "certain" && finding["evidence"][0]["after"] == 50, "{finding}");
    cause_before_queue(&told, CHECK)?;
    apply(finding)?;
    std::thread::sleep(QUIET);
    examine(bench, &lab, &[&reader])?.none(CHECK)
}

/// As `docker pause` does it: the cgroup is frozen, and the printed command thaws it.
fn frozen(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-stopped";
    let lab = Lab::alone()?;
    let cgroup = Cgroup::limiting("freezer", &format!("ndtest-{}-frozen", std::process::id()))?;
    let reader = Reader::new(&lab.receiver, Habit::default())?;
    cgroup.take(reader.pid())?;
    cgroup.set(&[("cgroup.freeze", "1"), ("freezer.state", "FROZEN")])?;
    let told = examine(bench, &lab, &[&reader])?;
    let finding = told.one(CHECK)?;
    reader.expect(finding)?;
    ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("frozen")), "{finding}");
    apply(finding)?;
    std::thread::sleep(QUIET);
    examine(bench, &lab, &[&reader])?.none(CHECK)
}

/// A cgroup with a tenth of a CPU.
fn tenth(name: &str) -> Result<Cgroup> {
    let cgroup = Cgroup::limiting("cpu", &format!("ndtest-{}-{name}", std::process::id()))?;
    cgroup.set(&[("cpu.max", "10000 100000"), ("cpu.cfs_quota_us", "10000")])?;
    Ok(cgroup)
}

/// Half of a CPU at the load's rate.
const HALF: Habit = Habit { burns: Duration::from_millis(1), sleeps: Duration::ZERO, touches: 0, file: None };

/// Half of a CPU is needed, and a tenth given: the printed quota is enough.
fn throttled(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-throttled";
    let lab = Lab::alone()?;
    let cgroup = tenth("quota")?;
    let reader = Reader::new(&lab.receiver, HALF)?;
    cgroup.take(reader.pid())?;
    let told = examine(bench, &lab, &[&reader])?;
    let finding = told.one(CHECK)?;
    reader.expect(finding)?;
    cause_before_queue(&told, CHECK)?;
    apply(finding)?;
    std::thread::sleep(QUIET);
    examine(bench, &lab, &[&reader])?.none(CHECK)
}

/// In one window one reader sleeps and another is throttled: each has its own verdict, and no other.
fn slow_beside_throttled(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let cgroup = tenth("both")?;
    let throttled = Reader::new(&lab.receiver, HALF)?;
    cgroup.take(throttled.pid())?;
    let slow = Reader::new(&lab.receiver, Habit { sleeps: Duration::from_millis(50), ..Habit::default() })?;
    let told = examine(bench, &lab, &[&throttled, &slow])?;
    throttled.expect(told.one("application-throttled")?)?;
    slow.expect(told.one("application-reads-slowly")?)?;
    let of_application = told.findings.iter().filter(|finding| finding["area"] == "application");
    ensure!(of_application.count() == 2, "{:?}", told.findings);
    let of_udp = told.findings.iter().filter(|finding| finding["check"] == "udp-receive-queue-full");
    ensure!(of_udp.count() == 2, "{:?}", told.findings);
    Ok(())
}

/// Above its limit each step waits; with the printed limit there is room. Version 1 has no limit that slows down: there a file that it goes through
/// again and again finds no room, and is read from the disk each time.
fn memory(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-memory";
    const LIMIT: usize = 8 << 20;
    let lab = Lab::alone()?;
    let cgroup = Cgroup::limiting("memory", &format!("ndtest-{}-memory", std::process::id()))?;
    let is_old = cgroup.path().join("memory.failcnt").exists();
    let has_pressure = cgroup.path().join("memory.pressure").exists();
    ensure!(is_old || has_pressure, Skip("no PSI of cgroups here".into()));
    cgroup.set(&[("memory.high", &LIMIT.to_string()), ("memory.limit_in_bytes", &LIMIT.to_string())])?;
    let touches = LIMIT + if is_old { LIMIT / 2 } else { LIMIT / 4 };
    let file = if is_old { Some(uncached(touches)?) } else { None };
    let file = file.as_ref().map(std::os::fd::AsRawFd::as_raw_fd);
    let habit = Habit { touches, file, sleeps: Duration::from_millis(1), ..Habit::default() };
    let reader = Reader::new(&lab.receiver, habit)?;
    cgroup.take(reader.pid())?;
    let told = examine(bench, &lab, &[&reader])?;
    let finding = told.one(CHECK)?;
    reader.expect(finding)?;
    apply(finding)?;
    // It goes on once what it waits for is over, and has what it needs.
    std::thread::sleep(Duration::from_secs(3));
    examine(bench, &lab, &[&reader])?.none(CHECK)
}

/// A file of so many bytes that nobody has in memory.
fn uncached(bytes: usize) -> Result<std::fs::File> {
    use std::io::Write as _;
    let path = std::env::temp_dir().join(format!("netdrop-tests-{}-pages", std::process::id()));
    let mut file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(path)?;
    file.write_all(&vec![7; bytes])?;
    file.sync_all()?;
    // SAFETY: no memory arguments.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    Ok(file)
}

/// Runs on this CPU alone from now on.
fn pin(pid: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(pid.cast_signed()), &set).context("can't pin it")
}

/// Four others are busy on the CPU that it may use; the printed commands let it run.
fn not_scheduled(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-not-scheduled";
    for program in ["taskset", "renice"] {
        let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output()?;
        ensure!(there.status.success(), Skip(format!("{program} is not installed")));
    }
    let lab = Lab::alone()?;
    let reader = Reader::new(&lab.receiver, HALF)?;
    pin(reader.pid(), 0)?;
    let busy: Vec<_> =
        (0..4).map(|_| Holder::fork_and(|| while cpu_time() < PATIENCE {})).collect::<Result<_>>()?;
    for one in &busy {
        pin(one.pid(), 0)?;
    }
    let told = examine(bench, &lab, &[&reader])?;
    let Ok(finding) = told.one(CHECK) else {
        ensure!(!std::path::Path::new("/proc/self/schedstat").exists(), "{:?}", told.findings);
        bail!(Skip("this kernel keeps no account of waiting threads".into()));
    };
    reader.expect(finding)?;
    apply(finding)?;
    std::thread::sleep(QUIET);
    examine(bench, &lab, &[&reader])?.none(CHECK)
}

/// One thread has no time to read; once it has less to do, nothing is found.
fn busy_thread(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-one-busy-thread";
    let lab = Lab::alone()?;
    let reader = Reader::new(&lab.receiver, Habit { burns: Duration::from_millis(300), ..Habit::default() })?;
    // Whoever else is busy on this machine doesn't keep it waiting.
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are whole.
    unsafe { libc::sched_setscheduler(reader.pid().cast_signed(), libc::SCHED_FIFO, &raw const first) };
    let told = examine(bench, &lab, &[&reader])?;
    let finding = told.one(CHECK)?;
    reader.expect(finding)?;
    drop(reader);
    let quick = Reader::new(&lab.receiver, Habit::default())?;
    examine(bench, &lab, &[&quick])?.none(CHECK)
}

/// A connection that nobody reads from: its window is shut, nothing is lost, and the very connection is named.
fn shut_window(bench: &Bench) -> Result<()> {
    const CHECK: &str = "application-reads-slowly";
    let lab = Lab::alone()?;
    let (client, server) = lab.receiver.enter(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        Ok((client, listener.accept()?.0))
    })?;
    let (local, remote) = (server.local_addr()?, client.local_addr()?);
    let descriptor = server.as_raw_fd();
    let client_descriptor = client.as_raw_fd();
    let reader = Holder::fork_and(|| {
        // SAFETY: the descriptor is this process's own copy.
        unsafe { libc::close(client_descriptor) };
        read_on(descriptor, Habit { sleeps: Duration::from_mins(1), ..Habit::default() });
    })?;
    drop(server);
    client.set_nonblocking(true)?;
    let told = examined(bench, &lab.receiver, "application,tcp", || {
        let shut = || lab.receiver.counter("TcpExt", "TCPToZeroWindowAdv");
        let data = vec![0; 65_536];
        until("the window to be shut", PATIENCE, || {
            use std::io::Write as _;
            let _ = (&client).write(&data);
            Ok((shut()? > 0).then_some(()))
        })
    })?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with(&format!("connection {local} from {remote} of ")), "{subject}");
    ensure!(subject.ends_with(&format!("({})", reader.pid())) && finding["severity"] == "info", "{finding}");
    Ok(())
}
