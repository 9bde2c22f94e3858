//! A process's number is another's by and by: no packet is ever said to be the former's, or the other's, by the number alone.

use std::ffi::CStr;
use std::fs;
use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::owner::Holder;
use super::socket::{
    FullServer, PACKETS, PATIENCE, closed_port, counted, expect, send, watched, watching,
    with_receiving_socket, with_udp_socket,
};
use crate::lab::{Namespace, Skip, until};
use crate::netdrop::Netdrop;
use crate::runner::Bench;
use crate::scenario::System;

const OLD: &CStr = c"reused-old";
const NEW: &CStr = c"reused-new";

pub fn table() -> Vec<System> {
    vec![
        System::new("reused-number-of-a-process", process),
        System::new("reused-number-of-a-process-before-it-is-looked-up", before_look_up),
        System::new("reused-number-below-the-parents", below_the_parents),
    ]
}

/// The second process has the first one's number, and a server of its own: its drops are its alone.
fn process(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let (old, first) = Named::with_server(OLD, None, &lab.receiver)?;
    let mut netdrop = watching(bench, &lab.receiver, &[])?;
    send(&first.sender, first.address)?;
    let pid = old.pid();
    told(&netdrop, PACKETS)?;
    drop(old);
    let (new, second) = Named::with_server(NEW, Some(pid), &lab.receiver)?;
    ensure!(new.pid() == pid, "the number is {}, not {pid}", new.pid());
    // Who has it is known from the next search on: until then nobody is named.
    until("a drop that is said to be the second process's", PATIENCE, || {
        second.sender.send_to(b"hey", second.address)?;
        Ok(netdrop.drops_so_far().iter().any(|drop| is_of(drop, &second, pid, NEW)).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    let drops = netdrop.report()?.drops;
    for (server, other) in [(&first, NEW), (&second, OLD)] {
        for drop in drops.iter().filter(|drop| is_to(drop, server)) {
            // While its queue was made full, it was this process's as well.
            let owner = &drop["socket"]["owner"];
            ensure!(
                !owner.to_string().contains(other.to_str()?),
                "{other:?} has nothing to do with it: {drop}"
            );
        }
    }
    let of_first = drops.iter().filter(|drop| is_of(drop, &first, pid, OLD)).count() as u64;
    ensure!(of_first >= PACKETS, "{of_first} drops of the first: {drops:?}");
    drop(new);
    Ok(())
}

/// The first process drops, ends, and another one has its number when netdrop, which was stopped meanwhile, looks.
fn before_look_up(bench: &Bench) -> Result<()> {
    let lab = with_receiving_socket()?;
    let (old, server) = Named::with_server(OLD, None, &lab.receiver)?;
    let pid = old.pid();
    let mut netdrop = watching(bench, &lab.receiver, &[])?;
    // So its first search for owners is behind it.
    closed_port(&lab.receiver)?;
    counted(&netdrop, PACKETS)?;
    netdrop.signal(Signal::SIGSTOP)?;
    let status = format!("/proc/{}/stat", netdrop.pid());
    until("netdrop to stop", PATIENCE, || Ok(fs::read_to_string(&status)?.contains(") T ").then_some(())))?;
    send(&server.sender, server.address)?;
    drop(old);
    let new = Named::fork(NEW, Some(pid))?;
    netdrop.signal(Signal::SIGCONT)?;
    told(&netdrop, 2 * PACKETS)?;
    netdrop.signal(Signal::SIGINT)?;
    let drops = netdrop.report()?.drops;
    let of_server: Vec<_> = drops.iter().filter(|drop| drop.get("socket").is_some()).collect();
    ensure!(of_server.len() as u64 == PACKETS, "{} of the server: {drops:?}", of_server.len());
    for drop in of_server {
        let wanted = [("pid", json!(pid)), ("command", json!(OLD.to_str()?)), ("gone", json!(true))];
        expect(drop, "/socket/owner", &wanted)?;
    }
    drop(new);
    Ok(())
}

/// Numbers begin anew at `pid_max`: a child that inherited a socket may have a lower one than its parent, who is named first still.
fn below_the_parents(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let FullServer { socket, sender, address } = FullServer::bind(&lab.receiver, 0)?;
    let (free, parent) = loop {
        let free = Holder::fork()?.pid();
        let parent = Holder::fork()?;
        // Else they have begun anew right now.
        if free < parent.pid() {
            break (free, parent);
        }
    };
    let (tick, _) = parent.began()?;
    until("the next clock tick", PATIENCE, || Ok((clock_ticks()? > tick).then_some(())))?;
    let child = Named::fork(NEW, Some(free))?;
    drop(socket);
    let drops = watched(bench, &lab.receiver, &[], || send(&sender, address))?;
    for drop in &drops {
        expect(drop, "/socket/owner", &[("pid", json!(parent.pid()))])?;
        expect(drop, "/socket/owner/others/0", &[("pid", json!(child.pid()))])?;
    }
    Ok(())
}

/// Since the machine's start, as processes' start times are told (`proc_uptime(5)`: hundredths, as `USER_HZ` is 100).
fn clock_ticks() -> Result<u64> {
    let uptime = fs::read_to_string("/proc/uptime")?;
    let (seconds, rest) = uptime.split_once('.').context("seconds and hundredths")?;
    let hundredths = rest.split_ascii_whitespace().next().context("hundredths")?;
    Ok(seconds.parse::<u64>()? * 100 + hundredths.parse::<u64>()?)
}

fn told(netdrop: &Netdrop, count: u64) -> Result<()> {
    until(
        "the drops in detail",
        PATIENCE,
        || Ok((netdrop.drops_so_far().len() as u64 >= count).then_some(())),
    )
}

/// Whether it is said to be this living process's.
fn is_of(drop: &Value, server: &Server, pid: u32, command: &CStr) -> bool {
    let owner = &drop["socket"]["owner"];
    let is_named = owner["pid"] == pid && owner["command"] == *command.to_string_lossy();
    is_to(drop, server) && is_named && owner.get("gone").is_none()
}

fn is_to(drop: &Value, server: &Server) -> bool {
    let port = drop.pointer("/packet/destination/port").and_then(Value::as_u64);
    port == Some(server.address.port().into())
}

/// How a server is reached that another process has.
struct Server {
    sender: UdpSocket,
    address: SocketAddr,
}

/// A process under a name of its own; it ends when this is dropped.
struct Named(Pid);

impl Named {
    /// One that alone has a server's socket, whose queue is full.
    fn with_server(name: &'static CStr, pid: Option<u32>, namespace: &Namespace) -> Result<(Self, Server)> {
        let FullServer { socket, sender, address } = FullServer::bind(namespace, 0)?;
        let process = Self::fork(name, pid)?;
        drop(socket);
        Ok((process, Server { sender, address }))
    }

    /// With this number, if one is given (`clone3(2)`, `set_tid`), which must be free.
    fn fork(name: &'static CStr, pid: Option<u32>) -> Result<Self> {
        let wanted = pid.unwrap_or(0);
        // SAFETY: numbers and null pointers, for which zero stands.
        let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
        arguments.exit_signal = libc::SIGCHLD as u64;
        if pid.is_some() {
            arguments.set_tid = (&raw const wanted).expose_provenance() as u64;
            arguments.set_tid_size = 1;
        }
        // SAFETY: the child has a copy of all memory, as after fork(2), and only makes system calls.
        let result =
            unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
        match Errno::result(result) {
            Ok(0) => Self::wait_for_the_end(name),
            Ok(child) => {
                let child = Self(Pid::from_raw(child.try_into()?));
                let path = format!("/proc/{}/comm", child.0);
                until("the process to have its name", PATIENCE, || {
                    Ok((fs::read_to_string(&path)?.trim_end() == name.to_str()?).then_some(()))
                })?;
                Ok(child)
            }
            Err(Errno::ENOSYS) => Err(Skip("this kernel has no clone3 that sets numbers".into()).into()),
            Err(error) => Err(error).with_context(|| format!("can't make a process {wanted}")),
        }
    }

    fn wait_for_the_end(name: &CStr) -> ! {
        // SAFETY: the name lives, and the others have no memory arguments.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            loop {
                libc::pause();
            }
        }
    }

    fn pid(&self) -> u32 {
        self.0.as_raw().cast_unsigned()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}
