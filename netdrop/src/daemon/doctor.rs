//! One examination: counters are read, some seconds pass in which drops are counted, counters are read again, checks are made.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::time::TimeSpec;

use super::drop_count::DropCount;
use crate::doctor::{
    Check, Diagnosis, Extent, Home, Place, Snapshot, Source, Span, Unread, Whose, Window, concurrently,
    diagnose, rank,
};
use crate::kernel::identity::Identity;
use crate::kernel::netns::inode_of;
use crate::model::{Owner, Row};
use crate::owner::{Owners, Socket};

/// Owners are looked for so long before the window's end: sockets that are made in it are found too.
const OWNERS_EARLY: Duration = Duration::from_millis(200);

/// Namespaces, or parts of one, that are read at a time: more than there are CPUs on small machines, as some wait for a device.
const AT_A_TIME: usize = 4;

/// What is to be examined.
pub struct Plan {
    /// The checks to be made.
    pub checks: Vec<&'static Check>,
    /// The network namespaces to be looked at, the caller's own first where it is one of them.
    pub homes: Vec<Home>,
    /// Whether the first of them is looked at for the host alone.
    pub extent: Extent,
    /// Time between the readings; absent: all since the boot.
    pub window: Option<Duration>,
    /// This kernel, to count its drops; or why they can't be.
    pub identity: Result<Identity, String>,
    /// Told when the window has begun: whether drops are counted, or why not.
    pub begun: fn(Result<(), &str>),
}

/// What came of it.
#[derive(Debug)]
pub struct Examined {
    /// Findings, the worst first.
    pub diagnosis: Diagnosis,
    /// The time that was looked at.
    pub lasted: Duration,
    /// Drops in that time; or why they weren't counted.
    pub drops: Result<u64, String>,
}

/// Examines, which takes the window's time and that of reading twice. Ctrl-C ends the window.
pub fn examine(plan: Plan) -> Examined {
    let Plan { checks, homes, extent, window, identity, begun: tell } = plan;
    let of = Subject { checks: &checks, homes: &homes, extent };
    let interrupt = Interrupt::catch();
    let counting = match window {
        None => Err("what was dropped before netdrop came, nobody counted".into()),
        Some(_) => {
            identity.and_then(|identity| DropCount::start(identity).map_err(|error| error.to_string()))
        }
    };
    let start = Instant::now();
    let begun = match window {
        None => of.at_boot(),
        Some(_) => of.begin(),
    };
    let owners = RefCell::new(Owners::new(Path::new("/")));
    if let Some(window) = window {
        tell(counting.as_ref().map(drop).map_err(String::as_str));
        let interrupted = interrupt.wait(start + window.saturating_sub(OWNERS_EARLY));
        owners.borrow_mut().refresh(Instant::now(), Duration::MAX);
        if !interrupted {
            interrupt.wait(start + window);
        }
    }
    let ended = of.end();
    let lasted = if window.is_some() { start.elapsed() } else { uptime() };
    let drops = counting.and_then(|counting| counting.end().map_err(|error| error.to_string()));
    let rows: Result<&[Row], Unread> = match &drops {
        Ok(summary) => Ok(&summary.rows),
        Err(why) => Err(Unread::new("drops", why)),
    };
    let span = if window.is_some() { Span::Window } else { Span::SinceBoot };
    let time = Time { span, lasted };
    let diagnosis = of.judge(time, (&begun, &ended), &rows, &owners);
    let drops = drops.map(|summary| summary.accounts.passed());
    Examined { diagnosis, lasted, drops }
}

/// All of one namespace, and when it had been read.
pub(super) type Reading = (Snapshot, Instant);

/// A namespace, and what was read of it at both ends.
type Read<'a> = (&'a Home, (&'a Reading, &'a Reading));

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub span: Span,
    /// Of a window, each namespace's own counts: from its first reading to its last.
    pub lasted: Duration,
}

/// What is looked for, and where.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub checks: &'a [&'static Check],
    pub homes: &'a [Home],
    pub extent: Extent,
}

impl<'a> Subject<'a> {
    /// Nothing had been counted.
    fn at_boot(self) -> Vec<Reading> {
        let zero = |index| (Snapshot::at_boot(self.sources(index)), Instant::now());
        (0..self.homes.len()).map(zero).collect()
    }

    /// Reads what is needed of the start.
    pub fn begin(self) -> Vec<Reading> {
        self.read(Source::is_of_both_ends)
    }

    /// Reads all. It may be another window's start.
    pub fn end(self) -> Vec<Reading> {
        self.read(|_| true)
    }

    /// Reads these parts of all namespaces, some at a time; where there is but one, some of its parts at a time.
    fn read(self, which: fn(&Source) -> bool) -> Vec<Reading> {
        let at_a_time = if self.homes.len() > 1 { 1 } else { AT_A_TIME };
        let all: Vec<(usize, &Home)> = self.homes.iter().enumerate().collect();
        concurrently(&all, AT_A_TIME, |(index, home)| {
            let sources: Vec<_> = self.sources(*index).into_iter().filter(which).collect();
            (read(home, &sources, at_a_time), Instant::now())
        })
    }

    /// What the checks need in the namespace at that place.
    fn sources(self, index: usize) -> Vec<Source> {
        let due = self.checks.iter().filter(|check| check.is_due(index, self.extent));
        due.flat_map(|check| check.needs).copied().collect()
    }

    /// Makes the checks on what was read at both ends, the worst finding first.
    pub fn judge(
        self,
        time: Time,
        (begun, ended): (&'a [Reading], &'a [Reading]),
        drops: &Result<&'a [Row], Unread>,
        whose: &'a dyn Whose,
    ) -> Diagnosis {
        let window = |(home, ((before, begin), (after, end))): Read<'a>| Window {
            before,
            after,
            lasted: match time.span {
                Span::Window => end.duration_since(*begin),
                Span::SinceBoot => time.lasted,
            },
            span: time.span,
            drops: drops.clone(),
            home,
            whose,
        };
        let windows: Vec<_> = self.homes.iter().zip(begun.iter().zip(ended)).map(window).collect();
        let mut diagnosis = diagnose(self.checks, &windows, self.extent);
        rank(&mut diagnosis.findings);
        diagnosis
    }
}

/// Reads in that namespace, from a thread of its own where it isn't ours: setns(2) moves the calling thread, and those that it starts are where it is.
fn read(home: &Home, sources: &[Source], at_a_time: usize) -> Snapshot {
    let place = Place::new("/");
    let snapshot = || Snapshot::read(sources.iter().copied(), &place, at_a_time);
    let Some(path) = &home.enter else { return snapshot() };
    let inside = || -> io::Result<Snapshot> {
        setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
        // Names and processes' numbers are given out again.
        match inode_of(Path::new("/proc/thread-self/ns/net")) {
            Some(inode) if inode != home.inode => Err(io::Error::other("another one is there now")),
            _ => Ok(snapshot()),
        }
    };
    let panicked = || Err(io::Error::other("the thread panicked"));
    let entered = thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|_| panicked()));
    entered.unwrap_or_else(|error| {
        let needs = if error.raw_os_error() == Some(libc::EPERM) { "; this needs CAP_SYS_ADMIN" } else { "" };
        let why = format!("can't enter it: {error}{needs}");
        let from = format!("the network namespace {}", home.name.as_deref().unwrap_or_default());
        Snapshot::unread(sources.iter().copied(), &Unread::new(from, why))
    })
}

/// Ctrl-C and SIGTERM, which end the window and not the examination.
struct Interrupt(SigSet);

impl Interrupt {
    /// Blocked in this thread, and in all that it starts, they wait until somebody asks for them.
    fn catch() -> Self {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        // It can't fail: the set is a set.
        let _ = signals.thread_block();
        Self(signals)
    }

    /// Waits until then, or for a signal, which is told by true.
    fn wait(&self, until: Instant) -> bool {
        loop {
            let left = TimeSpec::from_duration(until.saturating_duration_since(Instant::now()));
            // SAFETY: the set and the time are whole; nobody wants to know more of the signal.
            let signal = unsafe { libc::sigtimedwait(self.0.as_ref(), std::ptr::null_mut(), left.as_ref()) };
            match Errno::result(signal) {
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Since the boot (proc(5), `/proc/uptime`).
fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
}

impl Whose for RefCell<Owners> {
    fn owner(&self, socket: Socket) -> Option<Arc<Owner>> {
        let (mut owners, now) = (self.borrow_mut(), Instant::now());
        // Nothing is read where the index is of just now and has it.
        owners.refresh(now, Duration::MAX);
        owners.owner(socket, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::doctor::{Area, Part, Scope, all, source};

    fn plan(homes: Vec<Home>, window: Option<Duration>) -> Plan {
        Plan {
            checks: all().collect(),
            homes,
            extent: Extent::All,
            window,
            identity: Err("not asked for".into()),
            begun: |_| {},
        }
    }

    /// Without privileges, and without counting drops: every check is made or says why not.
    #[test]
    fn every_check_is_made_or_says_why_not() {
        let window = Duration::from_millis(20);
        let start = Instant::now();
        let examined = examine(plan(vec![Home::default()], Some(window)));
        assert!(start.elapsed() >= window && examined.lasted >= window);
        let Diagnosis { unchecked, checked, .. } = examined.diagnosis;
        assert_eq!(checked + unchecked.len(), all().count());
        // What isn't among its needs would be told so.
        assert!(unchecked.iter().all(|one| !one.why.contains("wasn't read")), "{unchecked:?}");
        assert_eq!(examined.drops, Err("not asked for".into()));
    }

    /// A part that counts how often it is read.
    #[derive(Default)]
    struct Late;

    static READ: AtomicU32 = AtomicU32::new(0);

    impl Part for Late {
        const FROM: &'static str = "nowhere";
        const AT_END: bool = true;

        fn read(_: &Place) -> Result<Self, Unread> {
            READ.fetch_add(1, Ordering::Relaxed);
            Ok(Self)
        }
    }

    #[test]
    fn what_is_asked_for_at_the_end_alone_is_read_once() {
        static CHECK: Check = Check {
            name: "udp-x",
            area: Area::Udp,
            scope: Scope::Netns,
            needs: &[source::<Late>()],
            run: |window| window.now::<Late>().map(|_| Vec::new()),
        };
        let examined =
            examine(Plan { checks: vec![&CHECK], ..plan(vec![Home::default()], Some(Duration::ZERO)) });
        assert_eq!((examined.diagnosis.checked, READ.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn since_the_boot_all_is_history() {
        let examined = examine(plan(vec![Home::default()], None));
        assert!(examined.lasted > Duration::from_secs(1));
        assert!(examined.diagnosis.findings.iter().all(|finding| finding.history));
    }

    #[test]
    fn a_namespace_that_is_not_there_is_said() {
        let away = Home { inode: 1, name: Some("away".into()), enter: Some("/nowhere".into()) };
        let examined = examine(plan(vec![away], Some(Duration::from_millis(1))));
        assert_eq!(examined.diagnosis.checked, 0);
        let why = &examined.diagnosis.unchecked[0].why;
        assert!(why.contains("namespace away") && why.contains("No such file"), "{why}");
    }
}
