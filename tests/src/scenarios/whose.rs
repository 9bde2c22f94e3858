//! `--container` and `--owner`: two sockets, or two namespaces, that differ in nothing else; the filter tells them apart.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::exactness::judge_accounts;
use super::owner::{Cgroup, Hierarchy, Holder};
use super::socket::with_receiving_socket;
use super::tcp::listen_overflow;
use crate::lab::{Namespace, until};
use crate::netdrop::{Netdrop, run_to_end};
use crate::report::Watcher as _;
use crate::runner::Bench;
use crate::scenario::System;

/// Packets of the one that is meant, and of the other.
const MEANT: u64 = 7;
const OTHER: u64 = 16;
/// Refused by the namespace's own rule, so that the drop belongs to the socket that sends.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

pub fn table() -> Vec<System> {
    vec![
        System::new("filter-container-by-cgroup", |bench| container_by_cgroup(bench, "--container", MEANT)),
        System::new("filter-not-container-by-cgroup", |bench| {
            container_by_cgroup(bench, "--not-container", OTHER)
        }),
        System::new("filter-container-by-netns", |bench| {
            container_by_netns(bench, Hierarchy::Unified, "--container", [MEANT, 0])
        }),
        System::new("filter-not-container-by-netns", |bench| {
            container_by_netns(bench, Hierarchy::Unified, "--not-container", [0, OTHER])
        }),
        System::new("filter-container-of-cgroup-v1", |bench| {
            container_by_netns(bench, Hierarchy::Legacy, "--container", [MEANT, 0])
        }),
        System::new("filter-owner-by-pid", |bench| owner(bench, "--owner", &Name::Pid, MEANT)),
        System::new("filter-owner-by-command", |bench| owner(bench, "--owner", &Name::Command, MEANT)),
        System::new("filter-not-owner", |bench| owner(bench, "--not-owner", &Name::Pid, OTHER)),
        System::new("filter-owner-of-a-listener", |bench| listener(bench, "--owner", MEANT)),
        System::new("filter-not-owner-of-a-listener", |bench| listener(bench, "--not-owner", 0)),
        System::new("filter-owner-with-a-later-socket", later_socket),
        System::new("filter-of-nobody", nobody),
    ]
}

fn container_by_cgroup(bench: &Bench, flag: &str, wanted: u64) -> Result<()> {
    let namespace = refusing()?;
    let id = container_id(1);
    let cgroup = Cgroup::create(Hierarchy::Unified, &format!("docker/{id}"))?;
    // Its sockets may be in cgroups below.
    let below = Below(cgroup.path().join("below"));
    fs::create_dir(&below.0)?;
    let meant = cgroup.inside(|| {
        fs::write(below.0.join("cgroup.procs"), std::process::id().to_string())?;
        bound(&namespace)
    })?;
    let other = bound(&namespace)?;
    expect(bench, &[flag, &id], &namespace, [&meant, &other], wanted)
}

/// A cgroup inside of another, removed before that one.
struct Below(PathBuf);

impl Drop for Below {
    fn drop(&mut self) {
        let _ = until("the cgroup to be empty", Duration::from_secs(5), || Ok(fs::remove_dir(&self.0).ok()));
    }
}

/// The drops have no socket: nobody listens. What the container's process is in decides.
fn container_by_netns(bench: &Bench, hierarchy: Hierarchy, flag: &str, wanted: [u64; 2]) -> Result<()> {
    let namespaces = [Namespace::create("container")?, Namespace::create("beside")?];
    let id = container_id(2);
    let cgroup = Cgroup::create(hierarchy, &format!("docker/{id}"))?;
    let _process = Process::inside(&namespaces[0], &cgroup)?;
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", flag, &id])?;
    for (namespace, count) in namespaces.iter().zip([MEANT, OTHER]) {
        let socket = bound(namespace)?;
        (0..count).try_for_each(|_| socket.send_to(b"hey", NOWHERE).map(drop))?;
    }
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let seen = [0, 1].map(|at: usize| report.count(|row| row.inode() == Some(namespaces[at].inode())));
    ensure!(seen == wanted, "of {MEANT} and {OTHER} drops {seen:?} are counted, not {wanted:?}");
    Ok(())
}

enum Name {
    Pid,
    Command,
}

/// A process of its own holds the one socket; this one holds both, and is not meant.
fn owner(bench: &Bench, flag: &str, name: &Name, wanted: u64) -> Result<()> {
    let namespace = refusing()?;
    let meant = bound(&namespace)?;
    let command = std::ffi::CString::new(format!("nd{}", std::process::id()))?;
    let holder = Holder::fork_and(|| {
        // SAFETY: the name ends with a zero; no more than 15 bytes of it are taken.
        unsafe { libc::prctl(libc::PR_SET_NAME, command.as_ptr()) };
    })?;
    let other = bound(&namespace)?;
    let name = match name {
        Name::Pid => holder.pid().to_string(),
        Name::Command => {
            let comm = format!("/proc/{}/comm", holder.pid());
            until("the process to have its name", Duration::from_secs(5), || {
                Ok((fs::read(&comm)?.trim_ascii() == command.as_bytes()).then_some(()))
            })?;
            command.to_str()?.to_owned()
        }
    };
    expect(bench, &[flag, &name], &namespace, [&meant, &other], wanted)
}

/// What a full accept queue refuses is the listener's, which is this process's.
fn listener(bench: &Bench, flag: &str, wanted: u64) -> Result<()> {
    drop(with_receiving_socket()?);
    let mut stage = listen_overflow(MEANT)?;
    let after = stage.lab.receiver.counter("TcpExt", "ListenOverflows")? + MEANT;
    let inode = stage.lab.receiver.inode();
    let this = std::process::id().to_string();
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--netns", &inode.to_string(), flag, &this])?;
    stage.send()?;
    until("the accept queue to overflow", Duration::from_secs(10), || {
        Ok((stage.lab.receiver.counter("TcpExt", "ListenOverflows")? >= after).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let seen = report.count(|row| row.inode() == Some(inode));
    ensure!(seen == wanted, "of {MEANT} drops {seen} are counted, not {wanted}");
    Ok(())
}

/// A socket that is made while netdrop runs is known after the next look; until then its drops are filtered.
fn later_socket(bench: &Bench) -> Result<()> {
    const AFTER: u64 = 50;
    let namespace = refusing()?;
    let mut netdrop = Netdrop::start(&bench.netdrop, &["--all", "--owner", &std::process::id().to_string()])?;
    let later = bound(&namespace)?;
    let mine =
        |netdrop: &Netdrop| -> u64 { netdrop.so_far().count(|row| row.inode() == Some(namespace.inode())) };
    let mut before = 0;
    until("a drop of the new socket to pass", Duration::from_secs(30), || {
        refused(&later, 1)?;
        before += 1;
        std::thread::sleep(Duration::from_millis(20));
        Ok((mine(&netdrop) > 0).then_some(()))
    })?;
    refused(&later, AFTER)?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let seen = report.count(|row| row.inode() == Some(namespace.inode()));
    ensure!(AFTER < seen && seen <= before + AFTER, "{seen} of {before} and {AFTER} drops are counted");
    let filtered = report.accounts.unwrap_or_default().filtered;
    ensure!(
        filtered >= before + AFTER - seen,
        "{filtered} are filtered of {before} and {AFTER}, {seen} seen"
    );
    Ok(())
}

/// Names that mean nothing are refused before anything is attached; those that do are explained.
fn nobody(bench: &Bench) -> Result<()> {
    let ended = |arguments: &[&str]| {
        run_to_end(std::process::Command::new(&bench.netdrop).arg("watch").args(arguments))
    };
    for (flag, message) in [("--container", "no container or pod"), ("--owner", "no process")] {
        let refused = ended(&[flag, "nobody-is-called-so"])?;
        ensure!(refused.code == Some(2) && refused.stderr.contains(message), "{flag}: {}", refused.stderr);
    }
    let this = std::process::id().to_string();
    let explained = ended(&["--explain-filter", "--format", "json", "--owner", &this, "--not-port", "9"])?;
    ensure!(explained.code == Some(0), "--explain-filter: {}", explained.stderr);
    let rules: Vec<Value> = explained.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<_> = rules.iter().map(|rule| (rule["rule"].as_str(), rule["evaluated"].as_str())).collect();
    let owner = format!("--owner {this}");
    let wanted = [("--not-port 9", "kernel-constants"), (&owner, "kernel-map-followed")];
    ensure!(told == wanted.map(|(rule, evaluated)| (Some(rule), Some(evaluated))), "{told:?}");
    Ok(())
}

/// Both sockets send; so many of their drops must be counted, and the others be filtered.
fn expect(
    bench: &Bench,
    filter: &[&str],
    from: &Namespace,
    sockets: [&UdpSocket; 2],
    wanted: u64,
) -> Result<()> {
    let mut netdrop = Netdrop::start(&bench.netdrop, &[&["--all"], filter].concat())?;
    refused(sockets[0], MEANT)?;
    refused(sockets[1], OTHER)?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let seen = report.count(|row| row.inode() == Some(from.inode()));
    ensure!(seen == wanted, "of {MEANT} and {OTHER} drops {seen} are counted, not {wanted}");
    let filtered = report.accounts.unwrap_or_default().filtered;
    ensure!(filtered >= MEANT + OTHER - wanted, "{filtered} are filtered, {seen} seen");
    Ok(())
}

/// A namespace that lets no datagram to port 9 out.
fn refusing() -> Result<Namespace> {
    let namespace = Namespace::create("container")?;
    let rules = "table inet t { chain c { type filter hook output priority 0; udp dport 9 drop; }; }";
    namespace.feature("nftables", "nft -f -", rules)?;
    Ok(namespace)
}

fn bound(namespace: &Namespace) -> Result<UdpSocket> {
    namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))
}

fn refused(socket: &UdpSocket, count: u64) -> Result<()> {
    for _ in 0..count {
        let sent = socket.send_to(b"hey", NOWHERE);
        ensure!(sent.is_err(), "the rule let a datagram out");
    }
    Ok(())
}

/// As docker makes them, and no one else's: 64 digits.
fn container_id(kind: u32) -> String {
    format!("{kind:032x}{:032x}", std::process::id())
}

/// A process in a namespace and a cgroup; it ends when this is dropped.
struct Process(Child);

impl Process {
    fn inside(namespace: &Namespace, cgroup: &Cgroup) -> Result<Self> {
        let child = namespace.command("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let process = Self(child);
        cgroup.take(process.0.id())?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
