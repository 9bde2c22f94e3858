//! TCP's listeners.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Result, ensure};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt, socket,
    sockopt,
};

use super::PATIENCE;
use crate::doctor::{Doctor, Told, apply};
use crate::lab::{Lab, Namespace, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-listen-overflow", listen_overflow)])
}

/// A listener that asks for this backlog, at a port of the kernel's choice.
pub(super) fn listener(namespace: &Namespace, backlog: i32) -> Result<(OwnedFd, SocketAddrV4)> {
    namespace.enter(|| {
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&listener, sockopt::ReuseAddr, &true)?;
        bind(listener.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))?;
        listen(&listener, Backlog::new(backlog)?)?;
        let address: SockaddrIn = getsockname(listener.as_raw_fd())?;
        Ok((listener, SocketAddrV4::new(address.ip(), address.port())))
    })
}

/// So many connections at once, none of which is accepted.
pub(super) fn connect(namespace: &Namespace, to: SocketAddrV4, count: usize) -> Result<Vec<OwnedFd>> {
    namespace.enter(|| {
        let client = || -> Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let client = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
            // It is under way, or waits for an answer that doesn't come.
            let _ = nix::sys::socket::connect(client.as_raw_fd(), &SockaddrIn::from(to));
            Ok(client)
        };
        (0..count).map(|_| client()).collect()
    })
}

/// somaxconn cuts the backlog: the very listener is named, and after the printed setting and a restart it overflows no more.
fn listen_overflow(bench: &Bench) -> Result<()> {
    const CHECK: &str = "tcp-listen-overflow";
    const CONNECTIONS: usize = 40;
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/core/somaxconn", "8")?;
    let overflows = || lab.receiver.counter("TcpExt", "ListenOverflows");
    let once = |is_cut: bool| -> Result<(Told, SocketAddrV4)> {
        let (_listener, address) = listener(&lab.receiver, 1024)?;
        let before = overflows()?;
        let doctor = Doctor::of(bench, &lab.receiver, "tcp")?;
        let _clients = connect(&lab.receiver, address, CONNECTIONS)?;
        if is_cut {
            until("connections to be refused a place", PATIENCE, || {
                Ok((overflows()? >= before + 20).then_some(()))
            })?;
        }
        Ok((doctor.end(bench)?, address))
    };
    let (told, address) = once(true)?;
    let finding = told.one(CHECK)?;
    let subject = finding["subject"].as_str().unwrap_or_default();
    let ours = format!("listener {address} of netdrop-tests({})", std::process::id());
    ensure!(subject.starts_with(&ours), "{subject} and not {ours}");
    ensure!(
        finding["cause"].as_str().is_some_and(|cause| cause.contains("somaxconn allows no more than 8")),
        "{finding}"
    );
    apply(finding)?;
    let (told, _) = once(false)?;
    told.none(CHECK)
}
