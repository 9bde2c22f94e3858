//! What is left out of TCP's events is told: filters, samples, a full ring. Each event is one of `detailed + sampled_out + ring_full + filtered`.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{Lab, set_option, until};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Tcp, connected, exchange};
use crate::told::{self, Told};

const PATIENCE: Duration = Duration::from_mins(1);
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PORT: u16 = 7018;
/// Runs of netdrop beside each other.
const TOGETHER: usize = 6;

pub fn table() -> Vec<System> {
    vec![
        System::new("tcp-filters-of-life", life),
        System::new("tcp-filters-of-resets", resets),
        System::new("tcp-filters-of-states", states),
        System::new("tcp-filters-of-retransmits", retransmits),
        System::new("tcp-filters-of-rtt", rtt),
        System::new("tcp-filters-owner-of-young-sockets", young),
        System::new("tcp-accounts-sampled", sampled),
        System::new("tcp-accounts-ring-full", ring_full),
        System::new("tcp-accounts-table-full", table_full),
    ]
}

/// Flags, and how many events pass.
type Filter<'a> = (&'a [&'a str], usize);

/// A connection from 127.0.0.1 to [`SERVER`], which is there before netdrop: a process's sockets must be known to the filter.
fn connection(lab: &Lab) -> Result<(TcpStream, TcpStream)> {
    lab.receiver.enter(|| {
        let listener = TcpListener::bind((SERVER, PORT))?;
        let client = TcpStream::connect((SERVER, PORT))?;
        Ok((client, listener.accept()?.0))
    })
}

/// Each filter lets its number of events pass, of `all` that `work` makes; the others are accounted for. `work` is done anew for some at a time.
fn filtered<K, P>(
    bench: &Bench,
    lab: &Lab,
    story: &str,
    filters: &[Filter<'_>],
    all: usize,
    prepare: impl Fn() -> Result<P>,
    work: impl Fn(P) -> Result<K>,
) -> Result<Vec<Told>> {
    let mut ends = Vec::new();
    for some in filters.chunks(TOGETHER) {
        let prepared = prepare()?;
        let start = |(flags, _): &Filter<'_>| {
            let arguments: Vec<&str> = [story].iter().chain(*flags).copied().collect();
            told::start(bench, lab, &arguments)
        };
        let running = some.iter().map(start).collect::<Result<Vec<_>>>()?;
        let _kept = work(prepared)?;
        for (netdrop, (flags, count)) in running.iter().zip(some) {
            told::wait_for(netdrop, *count).with_context(|| format!("{flags:?}"))?;
        }
        // Those that let pass less come to their end after those that let all pass: it has happened by then.
        for (netdrop, (flags, count)) in running.into_iter().zip(some) {
            let told = told::end(bench, netdrop)?;
            let events = &told.events;
            ensure!(events.len() == *count, "{flags:?}: {} of {count} events: {events:#?}", events.len());
            ensure!(told.account("detailed") == *count as u64, "{flags:?}: {}", told.end);
            // Other namespaces' events are left out as well.
            ensure!(told.account("filtered") >= (all - count) as u64, "{flags:?}: {}", told.end);
            ends.push(told);
        }
    }
    Ok(ends)
}

/// Closes both sides, one after the other.
fn close((client, mut server): (TcpStream, TcpStream)) -> Result<()> {
    drop(client);
    ensure!(server.read(&mut [0; 1])? == 0, "there is no data");
    Ok(())
}

fn life(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let (own, netns) = (std::process::id().to_string(), lab.receiver.inode().to_string());
    let filters: [Filter<'_>; 18] = [
        (&["--host", "127.0.0.2"], 2),
        (&["--host", "127.0.0.3,10.0.0.0/8"], 0),
        (&["--not-host", "127.0.0.2"], 0),
        (&["--src", "127.0.0.1"], 1),
        (&["--not-src", "127.0.0.0/31"], 1),
        (&["--dst", "127.0.0.2/31"], 1),
        (&["--port", "7000-7018"], 2),
        (&["--port", "7000-7017"], 0),
        (&["--not-port", "7018"], 0),
        (&["--sport", "7018"], 1),
        (&["--dport", "7018"], 1),
        (&["--not-dport", "7018"], 1),
        (&["--sport", "7018", "--dst", "127.0.0.1"], 1),
        (&["--owner", &own], 2),
        (&["--owner", "1"], 0),
        (&["--not-owner", &own], 0),
        (&["--not-device", "lo"], 0),
        (&["--not-netns", &netns], 0),
    ];
    filtered(bench, &lab, "life", &filters, 2, || connection(&lab), close)?;
    Ok(())
}

/// A reset's source is who sends it, on both sides.
fn resets(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let own = std::process::id().to_string();
    let filters: [Filter<'_>; 6] = [
        (&["--src", "127.0.0.2", "--sport", "7018"], 2),
        (&["--src", "127.0.0.1"], 0),
        (&["--dst", "127.0.0.1"], 2),
        (&["--dport", "7018"], 0),
        (&["--owner", &own], 2),
        (&["--not-sport", "7018"], 0),
    ];
    let abort = |(mut client, server): (TcpStream, TcpStream)| {
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        drop(server);
        ensure!(client.read(&mut [0; 1]).is_err(), "it is reset");
        Ok(client)
    };
    let ends = filtered(bench, &lab, "resets", &filters, 2, || connection(&lab), abort)?;
    let counted: Vec<_> =
        ends.iter().map(|told| told.count("reset-sent", None) + told.count("reset-received", None)).collect();
    ensure!(counted == [2, 0, 2, 0, 2, 0], "{counted:?}");
    Ok(())
}

/// Counted transitions are filtered like their events.
fn states(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let filters: [Filter<'_>; 4] = [
        (&["--dport", "7018"], 3),
        (&["--sport", "7018"], 3),
        (&["--host", "127.0.0.3"], 0),
        (&["--not-dport", "7018", "--not-sport", "7018"], 0),
    ];
    let in_turn = |(client, mut server): (TcpStream, TcpStream)| {
        client.shutdown(std::net::Shutdown::Write)?;
        ensure!(server.read(&mut [0; 1])? == 0, "there is no data");
        super::tcp_states::wait_for_fin_wait2(&client)?;
        drop(server);
        Ok(client)
    };
    let ends = filtered(bench, &lab, "states", &filters, 6, || connection(&lab), in_turn)?;
    let changes = |told: &Told| -> Vec<(String, u64)> {
        let rows = told.end["tcp"]["transitions"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.map(|row| (text(&row["from"]), row["count"].as_u64().unwrap_or(0))).collect()
    };
    let once =
        |names: &[&str]| -> Vec<(String, u64)> { names.iter().map(|name| ((*name).to_owned(), 1)).collect() };
    for (told, names) in ends.iter().zip([
        &["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2"][..],
        &["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK"],
        &[],
        &[],
    ]) {
        let (mut is, mut wanted) = (changes(told), once(names));
        is.sort();
        wanted.sort();
        ensure!(is == wanted, "{is:?} instead of {wanted:?}");
    }
    Ok(())
}

/// A SYN that nobody answers is sent again, once.
fn retransmits(bench: &Bench) -> Result<()> {
    const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 99);
    let lab = Lab::pair()?;
    lab.receiver.ip(&["neigh replace 10.9.0.99 lladdr 02:00:00:00:00:01 dev r0"])?;
    let filters: [Filter<'_>; 4] = [
        (&["--dst", "10.9.0.99", "--device", "r0"], 1),
        (&["--src", "10.9.0.99"], 0),
        (&["--not-dport", "7018"], 0),
        (&["--not-device", "r0"], 0),
    ];
    let call = |()| -> Result<OwnedFd> {
        lab.receiver.enter(|| {
            let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
            syn_count(&fd, 1)?;
            let _ = connect(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(NOBODY, PORT)));
            Ok(fd)
        })
    };
    let ends = filtered(bench, &lab, "retransmits", &filters, 1, || Ok(()), call)?;
    told::expect(&ends[0].events[0], &[("/type", "syn"), ("/remote/address", "10.9.0.99")])?;
    Ok(())
}

/// `TCP_SYNCNT` of tcp(7).
fn syn_count(fd: &OwnedFd, count: libc::c_int) -> Result<()> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_SYNCNT, &count)
}

/// Round-trip times have no events: they are counted, or not.
fn rtt(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let filters: [(&[&str], bool); 4] = [
        (&["--dport", "7018"], true),
        (&["--dport", "7019"], false),
        (&["--not-host", "127.0.0.2"], false),
        (&["--not-src", "127.0.0.2"], true),
    ];
    let start = |(flags, _): &(&[&str], bool)| {
        let arguments: Vec<&str> = ["rtt", "--srtt"].iter().chain(*flags).copied().collect();
        told::start(bench, &lab, &arguments)
    };
    let running = filters.iter().map(start).collect::<Result<Vec<_>>>()?;
    let (mut client, mut server) = connection(&lab)?;
    for _ in 0..10 {
        client.write_all(b"hey")?;
        server.read_exact(&mut [0; 3])?;
        server.write_all(b"you")?;
        client.read_exact(&mut [0; 3])?;
    }
    close((client, server))?;
    for (netdrop, (flags, passes)) in running.into_iter().zip(filters) {
        let told = told::end(bench, netdrop)?;
        let seen = told.account("rtt_seen");
        ensure!((seen >= 10) == passes && (seen == 0) != passes, "{flags:?}: {seen} times");
    }
    Ok(())
}

/// A process is known by its id: its connections pass from their first moment, whenever its sockets are looked for.
fn young(bench: &Bench) -> Result<()> {
    const COUNT: usize = 20;
    let lab = Lab::alone()?;
    let own = std::process::id().to_string();
    let netdrop = told::start(bench, &lab, &["life", "--all", "--owner", &own])?;
    for _ in 0..COUNT {
        close(connection(&lab)?)?;
    }
    told::wait_for(&netdrop, 2 * COUNT)?;
    let told = told::end(bench, netdrop)?;
    ensure!(told.events.len() == 2 * COUNT, "{} of {} ends", told.events.len(), 2 * COUNT);
    Ok(())
}

/// Connections to a port that nobody listens on, all on one CPU: what stands between them and a detail is that CPU's.
fn refused(lab: &Lab, count: usize) -> Result<()> {
    lab.receiver.enter(|| {
        // The thread's own, and it ends here.
        let mut cpus = CpuSet::new();
        cpus.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
        for _ in 0..count {
            ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).is_err(), "somebody listens");
        }
        Ok(())
    })
}

/// One more connection than was sampled out: its line stands for all that had none.
fn stands_for_all(told: &Told, count: usize) -> Result<()> {
    let count = count as u64;
    ensure!(told.count("close", Some("SYN_SENT")) == count, "not {count} counted: {}", told.end);
    ensure!(told.weights() == count, "{} of {count} are stood for: {}", told.weights(), told.end);
    ensure!(told.account("detailed") == told.events.len() as u64, "{}", told.end);
    ensure!(told.events.iter().all(|event| event["close"] == "refused"), "{:#?}", told.events);
    Ok(())
}

/// `--rate`: a second's worth at once, then one each 20 ms.
fn sampled(bench: &Bench) -> Result<()> {
    const RATE: &str = "50";
    const MANY: usize = 1000;
    let lab = Lab::alone()?;
    let netdrop = told::start(bench, &lab, &["life", "--rate", RATE])?;
    refused(&lab, MANY)?;
    // The next is due again.
    std::thread::sleep(Duration::from_millis(50));
    refused(&lab, 1)?;
    let told = told::end(bench, netdrop)?;
    stands_for_all(&told, MANY + 1)?;
    let (detailed, sampled_out) = (told.account("detailed"), told.account("sampled_out"));
    ensure!(detailed >= 50 && sampled_out > 0, "{detailed} detailed, {sampled_out} sampled out");
    ensure!(told.account("ring_full") == 0, "{}", told.end);
    Ok(())
}

/// netdrop stands still while more happens than its ring holds.
fn ring_full(bench: &Bench) -> Result<()> {
    const MANY: usize = 4000;
    let lab = Lab::alone()?;
    let netdrop = told::start(bench, &lab, &["life", "--all"])?;
    netdrop.signal(Signal::SIGSTOP)?;
    let done = refused(&lab, MANY);
    netdrop.signal(Signal::SIGCONT)?;
    done?;
    // What the ring holds is read before there is room for the one that stands for the others.
    let told_so_far = |netdrop: &Tcp| netdrop.so_far().iter().filter(|line| told::is_event(line)).count();
    let mut more = 0;
    until("a line that stands for the others", PATIENCE, || {
        refused(&lab, 1)?;
        more += 1;
        let heavy = |line: &&String| told::is_event(line) && !line.contains(r#""weight":1,"#);
        Ok(netdrop.so_far().iter().find(heavy).map(|_| ()))
    })
    .with_context(|| format!("{} lines", told_so_far(&netdrop)))?;
    let told = told::end(bench, netdrop)?;
    stands_for_all(&told, MANY + more)?;
    ensure!(told.account("ring_full") > 0 && told.account("sampled_out") == 0, "{}", told.end);
    Ok(())
}

/// More connections at once than can be followed: each has its line with its bytes, and it is told of how many the beginning isn't known.
fn table_full(bench: &Bench) -> Result<()> {
    const ROOM: usize = 4;
    const CONNECTIONS: usize = 10;
    let lab = Lab::alone()?;
    let flags = ["life", "--connections", &ROOM.to_string()];
    let told = told::told(bench, &lab, &flags, 2 * CONNECTIONS, || {
        let open = (0..CONNECTIONS).map(|_| connected(Ipv4Addr::LOCALHOST.into()));
        let open = open.collect::<Result<Vec<_>>>()?;
        for (client, server) in open {
            exchange(client, server, 1234, 1)?;
        }
        Ok(())
    })?;
    ensure!(told.events.len() == 2 * CONNECTIONS, "{} lines", told.events.len());
    let known = told.with(&[("/connection/known_since_birth", "true")]).len();
    ensure!(known > 0 && known <= ROOM, "{known} are known since birth, with room for {ROOM}");
    let untracked = told.account("untracked");
    ensure!(untracked == (2 * CONNECTIONS - known) as u64, "{known} known, {untracked} untracked");
    let sent = told.with(&[("/tcp/payload_sent", "1234"), ("/close", "fin")]).len();
    ensure!(sent == CONNECTIONS, "{sent} of {CONNECTIONS} with all bytes: {:#?}", told.events);
    Ok(())
}
