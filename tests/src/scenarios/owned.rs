//! Whose a drop was, from the packet to the line: containers, processes that come and go, a connection that is reset.

use std::fs::{self, File};
use std::io::IoSlice;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use super::owner::{Cgroup, Hierarchy, Holder, container_id, inode};
use super::socket::{
    FullServer, PACKETS, PATIENCE, closed_port, counted, expect, expect_owner, finish_after, send, watched,
    watching, with_receiving_socket, with_udp_socket,
};
use super::tcp::connect;
use crate::lab::{Lab, Namespace, RECEIVER, until};
use crate::netdrop::Netdrop;
use crate::runner::Bench;
use crate::scenario::System;
use crate::traffic::Tcp;

pub fn table() -> Vec<System> {
    use Hierarchy::{Legacy, Unified};
    vec![
        System::new("owned-by-a-container-v1", |bench| container(bench, &[Legacy], &[])),
        System::new("owned-by-a-container-v2", |bench| container(bench, &[Unified], &[])),
        // An engine that knows v1 leaves its containers in its own unit of v2.
        System::new("owned-by-a-container-hybrid", |bench| container(bench, &[Legacy], &[Unified])),
        System::new("owned-by-the-container-of-the-namespace", namespace),
        System::new("owned-by-a-process-that-is-gone", gone),
        System::new("owned-by-the-process-it-was-passed-to", passed_on),
        System::new("owned-by-a-connection-that-is-reset", reset),
    ]
}

/// A server that was started in a container, and is alone to have its socket. Some hierarchies know the container, others a unit.
fn container(bench: &Bench, known_to: &[Hierarchy], unit_in: &[Hierarchy]) -> Result<()> {
    let lab = with_udp_socket()?;
    let container = known_to.iter().map(|place| (place, format!("docker/{}", container_id())));
    let unit = unit_in.iter().map(|place| (place, format!("ndtest-{}.service", std::process::id())));
    let cgroups = container.chain(unit).map(|(place, below)| Cgroup::create(*place, &below));
    let cgroups = cgroups.collect::<Result<Vec<_>>>()?;
    let (server, holder) = inside(&cgroups, || Ok((FullServer::bind(&lab.receiver, 0)?, Holder::fork()?)))?;
    let FullServer { socket, sender, address } = server;
    drop(socket);
    let wanted = json!(format!("docker:{}", container_id()));
    for drop in watched(bench, &lab.receiver, &[], || send(&sender, address))? {
        expect(&drop, "/socket/owner", &[("container", wanted.clone())])?;
        expect_owner(&drop, &[holder.pid()])?;
    }
    let flags = ["--by", "owner,container"];
    let rows = rows(bench, &lab.receiver, &flags, || send(&sender, address))?;
    let owner = json!({"pid": holder.pid(), "command": fs::read_to_string("/proc/self/comm")?.trim_end()});
    let is_it = |row: &Value| row["owner"] == owner && row["container"] == wanted && row["count"] == PACKETS;
    ensure!(rows.len() == 1 && is_it(&rows[0]), "not one row of {owner} in {wanted}: {rows:?}");
    drop(holder);
    Ok(())
}

/// Does `work` while this process is in all of them.
fn inside<T>(cgroups: &[Cgroup], work: impl FnOnce() -> Result<T>) -> Result<T> {
    match cgroups.split_first() {
        Some((first, rest)) => first.inside(|| inside(rest, work)),
        None => work(),
    }
}

/// Nobody listens, so that there is no socket: but a container lives in the namespace, and nobody else.
fn namespace(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let cgroup = Cgroup::create(Hierarchy::Unified, &format!("docker/{}", container_id()))?;
    let path = File::open(lab.receiver.path())?;
    let holder = cgroup.inside(|| {
        Holder::fork_and(|| {
            let _ = setns(&path, CloneFlags::CLONE_NEWNET);
        })
    })?;
    let link = format!("/proc/{}/ns/net", holder.pid());
    let wanted = format!("net:[{}]", lab.receiver.inode());
    until("the process to be in the namespace", PATIENCE, || {
        Ok((fs::read_link(&link)?.to_string_lossy() == wanted).then_some(()))
    })?;
    let container = json!(format!("docker:{}", container_id()));
    for drop in watched(bench, &lab.receiver, &[], || closed_port(&lab.receiver))? {
        ensure!(drop.get("socket").is_none(), "a socket at a closed port: {drop}");
        expect(&drop, "/netns", &[("name", json!(lab.receiver.name())), ("container", container.clone())])?;
    }
    for (flags, pointer) in [(&["--by", "container"][..], "/container"), (&[], "/netns/container")] {
        let rows = rows(bench, &lab.receiver, flags, || closed_port(&lab.receiver))?;
        let is_it = |row: &Value| row.pointer(pointer) == Some(&container) && row["count"] == PACKETS;
        ensure!(rows.len() == 1 && is_it(&rows[0]), "{flags:?}: not one row of {container}: {rows:?}");
    }
    drop(holder);
    Ok(())
}

/// The server ends after the drop and before netdrop, which is stopped meanwhile, looks for it.
fn gone(bench: &Bench) -> Result<()> {
    let lab = with_receiving_socket()?;
    let FullServer { socket, sender, address } = FullServer::bind(&lab.receiver, 0)?;
    let server = Holder::fork()?;
    drop(socket);
    let mut netdrop = started(bench, &lab.receiver)?;
    netdrop.signal(Signal::SIGSTOP)?;
    let status = format!("/proc/{}/stat", netdrop.pid());
    until("netdrop to stop", PATIENCE, || Ok(fs::read_to_string(&status)?.contains(") T ").then_some(())))?;
    send(&sender, address)?;
    let pid = server.pid();
    drop(server);
    netdrop.signal(Signal::SIGCONT)?;
    let drops = finish_after(&mut netdrop, 2 * PACKETS)?;
    let of_server: Vec<_> = drops.iter().filter(|drop| drop.get("socket").is_some()).collect();
    ensure!(of_server.len() as u64 == PACKETS, "{} of the server: {drops:?}", of_server.len());
    for drop in of_server {
        expect(drop, "/socket/owner", &[("pid", json!(pid)), ("gone", json!(true))])?;
    }
    Ok(())
}

/// `SCM_RIGHTS`, cmsg(3). Until it is searched for again, the one that had it is said to have closed it.
fn passed_on(bench: &Bench) -> Result<()> {
    let lab = with_udp_socket()?;
    let FullServer { socket, sender, address } = FullServer::bind(&lab.receiver, 0)?;
    let mut netdrop = started(bench, &lab.receiver)?;
    let (here, there) = UnixDatagram::pair()?;
    let (number, passed) = (inode(&socket)?, [socket.as_raw_fd()]);
    sendmsg::<()>(
        here.as_raw_fd(),
        &[IoSlice::new(b"x")],
        &[ControlMessage::ScmRights(&passed)],
        MsgFlags::empty(),
        None,
    )?;
    drop(socket);
    let receiver = Holder::receiver(&there)?;
    until("the other process to have the socket", PATIENCE, || {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", receiver.pid()))?;
        let mut links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let wanted = format!("socket:[{number}]");
        Ok(links.any(|link| link.to_string_lossy() == wanted).then_some(()))
    })?;
    let owner_of = |drop: &Value| drop["socket"]["owner"].clone();
    until("a drop of the new owner", PATIENCE, || {
        sender.send_to(b"hey", address)?;
        let drops = netdrop.drops_so_far();
        Ok(drops.iter().any(|drop| owner_of(drop)["pid"] == receiver.pid()).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    let drops = netdrop.report()?.drops;
    for owner in drops.iter().filter(|drop| drop.get("socket").is_some()).map(owner_of) {
        let is_new = owner["pid"] == receiver.pid() && owner.get("closed").is_none();
        let was_ours = owner["pid"] == std::process::id() && owner["closed"] == true;
        ensure!(is_new || was_ours, "neither the new owner nor the one that closed it: {owner}");
    }
    let last = drops.last().context("no drops")?;
    expect_owner(last, &[receiver.pid()])
}

/// Data for a connection whose process takes no more: the kernel resets the connection, and drops the segment for it.
fn reset(bench: &Bench) -> Result<()> {
    drop(with_receiving_socket()?);
    let lab = Lab::pair()?;
    let (client, server) = connect(&lab)?;
    server.shutdown(Shutdown::Both)?;
    let mut netdrop = watching(bench, &lab.receiver, &[])?;
    client.send(client.sequence, client.acknowledgment + 1, Tcp::ACK, b"x")?;
    for drop in finish_after(&mut netdrop, 1)? {
        expect(
            &drop,
            "/socket",
            &[
                ("of", json!("receiver")),
                ("state", json!("CLOSE")),
                // It has given its port back by then.
                ("local", json!(RECEIVER.v4.to_string())),
            ],
        )?;
        expect_owner(&drop, &[std::process::id()])?;
    }
    let error = server.take_error()?.context("the connection is as it was")?;
    ensure!(error.raw_os_error() == Some(libc::ECONNRESET), "the connection is not reset: {error}");
    Ok(())
}

/// A netdrop that has told of some drops: so its first search for owners is behind it.
fn started(bench: &Bench, namespace: &Namespace) -> Result<Netdrop> {
    let netdrop = watching(bench, namespace, &[])?;
    closed_port(namespace)?;
    counted(&netdrop, PACKETS)?;
    Ok(netdrop)
}

/// The rows of the whole run.
fn rows(
    bench: &Bench,
    namespace: &Namespace,
    flags: &[&str],
    send: impl FnOnce() -> Result<()>,
) -> Result<Vec<Value>> {
    let mut netdrop = watching(bench, namespace, flags)?;
    send()?;
    counted(&netdrop, PACKETS)?;
    netdrop.signal(Signal::SIGINT)?;
    let (_, lines, _) = netdrop.wait()?;
    let end = lines.last().context("no lines")?;
    Ok(end["rows"].as_array().context("no rows")?.clone())
}
