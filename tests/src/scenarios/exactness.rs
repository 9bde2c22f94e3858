//! The promises about counts, kept under floods, a stuck consumer, and the kernel's own record.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::shape::{ETHER_V4, UDP, V4};
use crate::lab::{Lab, Namespace, SENDER, until};
use crate::netdrop::Netdrop;
use crate::observer::Observer;
use crate::report::{Report, Row, Watcher};
use crate::runner::Bench;
use crate::scenario::System;
use crate::traffic::{Ip, PacketSocket, Tcp, corrupt};

/// Fewer than the kernel's input queue holds (`net.core.netdev_max_backlog`, 1000), so that none is lost before its fate.
const BATCH: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(30);

pub fn table() -> Vec<System> {
    vec![
        System::new("exact-flood", |bench| {
            let lab = Lab::alone()?;
            let mut netdrop = start(&bench.netdrop, &lab, &["--rate", "100"])?;
            flood(&lab.receiver, bench.flood)?;
            netdrop.signal(Signal::SIGINT)?;
            judge_flood(&netdrop.report()?, &lab, bench.flood)
        }),
        System::new("exact-flood-every-detail", |bench| {
            let lab = Lab::alone()?;
            let mut netdrop = start(&bench.netdrop, &lab, &["--all"])?;
            flood(&lab.receiver, bench.flood / 10)?;
            netdrop.signal(Signal::SIGINT)?;
            let report = netdrop.report()?;
            let accounts = report.accounts.unwrap_or_default();
            ensure!(accounts.sampled_out == 0, "sampled with --all: {accounts:?}");
            judge_flood(&report, &lab, bench.flood / 10)
        }),
        System::new("exact-flood-counts-only", |bench| {
            let lab = Lab::alone()?;
            let mut netdrop = start(&bench.netdrop, &lab, &["--rate", "0"])?;
            flood(&lab.receiver, bench.flood / 10)?;
            netdrop.signal(Signal::SIGINT)?;
            let report = netdrop.report()?;
            ensure!(report.drops.is_empty(), "{} drop lines with --rate 0", report.drops.len());
            judge_flood(&report, &lab, bench.flood / 10)
        }),
        System::new("exact-flood-with-a-stopped-consumer", |bench| {
            let lab = Lab::alone()?;
            let inode = lab.receiver.inode().to_string();
            let mut netdrop = Netdrop::start_unread(&bench.netdrop, &["--netns", &inode, "--all"])?;
            flood(&lab.receiver, bench.flood)?;
            netdrop.signal(Signal::SIGINT)?;
            judge_flood(&netdrop.report()?, &lab, bench.flood)
        }),
        System::new("exact-rare-drop-between-two-floods", rare_between_floods),
        System::new("exact-against-the-kernels-own-record", own_record),
    ]
}

fn start(netdrop: &Path, lab: &Lab, arguments: &[&str]) -> Result<Netdrop> {
    let inode = lab.receiver.inode().to_string();
    Netdrop::start(netdrop, &[&["--netns", &inode], arguments].concat())
}

/// `count` datagrams to a closed loopback port; returns when the kernel has counted each as `NoPorts`.
fn flood(namespace: &Namespace, count: u64) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let before = namespace.counter("Udp", "NoPorts")?;
    let mut sent = 0;
    while sent < count {
        for _ in 0..BATCH.min(count - sent) {
            socket.send_to(b"hey", "127.0.0.1:9")?;
            sent += 1;
        }
        wait_counter(namespace, "Udp", "NoPorts", before + sent)?;
    }
    Ok(())
}

fn wait_counter(namespace: &Namespace, group: &str, name: &str, wanted: u64) -> Result<()> {
    until("the kernel to count the flood", PATIENCE, || {
        Ok((namespace.counter(group, name)? >= wanted).then_some(()))
    })
}

fn judge_flood(report: &Report, lab: &Lab, count: u64) -> Result<()> {
    let inode = lab.receiver.inode();
    let counted = report.count(|row| {
        row.inode() == Some(inode) && row.reason.as_deref().is_none_or(|reason| reason == "NO_SOCKET")
    });
    ensure!(counted == count, "{counted} counted of {count}; {:?}", report.accounts);
    judge_accounts(report)?;
    let weights: u64 = report.drops.iter().filter_map(|drop| drop["weight"].as_u64()).sum();
    ensure!(weights <= count, "the drop lines weigh {weights}, more than the {count} dropped");
    Ok(())
}

/// Promise 2: what was seen is detailed, sampled out, lost for a full ring, or filtered; nothing else happened to it.
pub fn judge_accounts(report: &Report) -> Result<()> {
    let accounts = report.accounts.context("no accounts")?;
    let sum = accounts.detailed + accounts.sampled_out + accounts.ring_full + accounts.filtered;
    ensure!(sum == accounts.seen, "the accounts sum to {sum}: {accounts:?}");
    let counted = report.count(|_| true) + accounts.table_full;
    ensure!(
        counted == accounts.seen - accounts.filtered,
        "rows and table_full make {counted}, but not what was seen and not filtered: {accounts:?}"
    );
    let lines = u64::try_from(report.drops.len())?;
    ensure!(lines == accounts.detailed, "{lines} drop lines: {accounts:?}");
    let light = report.drops.iter().find(|drop| drop["weight"].as_u64().is_none_or(|weight| weight == 0));
    ensure!(light.is_none(), "a drop line without weight: {light:?}");
    Ok(())
}

/// Promise 3: a site and reason of its own has a token bucket of its own.
fn rare_between_floods(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let frames = [UDP.packet(&V4, b"hey"), V4.wrap(253, b"hey")].map(|packet| ETHER_V4.wrap(&packet));
    let rare = ETHER_V4.wrap(&corrupt(UDP.packet(&V4, b"hey"), 10));
    let mut netdrop = start(&bench.netdrop, &lab, &["--rate", "10"])?;
    let (each, mut sent) = (bench.flood / 10, 0);
    let mut rare_sent = false;
    while sent < each {
        let batch = (BATCH / 2).min(each - sent);
        frames.iter().try_for_each(|frame| socket.repeat(frame, batch))?;
        sent += batch;
        wait_counter(&lab.receiver, "Udp", "NoPorts", sent)?;
        wait_counter(&lab.receiver, "Ip", "InUnknownProtos", sent)?;
        if !rare_sent && sent >= each / 2 {
            socket.send(&rare)?;
            rare_sent = true;
        }
    }
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let (udp, unknown) =
        (["udp_rcv", "__udp4_lib_rcv"], ["ip_local_deliver_finish", "ip_protocol_deliver_rcu"]);
    for (what, functions, wanted) in
        [("closed port", &udp[..], each), ("unknown protocol", &unknown, each), ("rare", &["ip_rcv_core"], 1)]
    {
        let count = report.count(|row| functions.contains(&row.plain_function()));
        ensure!(count == wanted, "{what}: {count} counted of {wanted}");
        let lines = report.drops.iter().filter_map(|drop| Row::of_drop(drop).ok());
        let lines = lines.filter(|row| functions.contains(&row.plain_function())).count();
        ensure!(lines >= 1, "{what}: no drop line");
    }
    Ok(())
}

/// bpftrace counts the same drops in the same run; per address and reason both must agree to the packet.
fn own_record(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let observer = Observer::start()?;
    let mut netdrop = start(&bench.netdrop, &lab, &["--rate", "10"])?;
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let syn = Tcp { source: 40_000, destination: 81, sequence: 1, acknowledgment: 0, flags: Tcp::SYN };
    let mix = [
        (UDP.packet(&V4, b"hey"), 400),
        (corrupt(UDP.packet(&V4, b"hey"), -1), 300),
        (V4.wrap(253, b"hey"), 200),
        (syn.packet(&V4, b""), 100),
        (corrupt(UDP.packet(&V4, b"hey"), 10), 1),
    ];
    let total: u64 = mix.iter().map(|(_, count)| count).sum();
    let here = |row: &&Row| row.inode() == Some(lab.receiver.inode());
    let sum = |rows: &[Row]| rows.iter().filter(here).map(|row| row.count).sum::<u64>();
    for (packet, count) in &mix {
        socket.repeat(&ETHER_V4.wrap(packet), *count)?;
    }
    let seen =
        until("bpftrace to see all", PATIENCE, || Ok((sum(&observer.so_far().rows) >= total).then_some(())));
    netdrop.signal(Signal::SIGINT)?;
    let theirs = Box::new(observer).finish()?;
    let ours = netdrop.report()?;
    seen?;
    let by_site = |rows: &[Row]| {
        let mut sites = BTreeMap::new();
        for row in rows.iter().filter(here) {
            *sites.entry((row.address.clone(), row.reason.clone())).or_insert(0) += row.count;
        }
        sites
    };
    let (ours, theirs) = (by_site(&ours.rows), by_site(&theirs.rows));
    ensure!(theirs.len() == mix.len(), "the witness itself saw other sites: {theirs:?}");
    ensure!(ours == theirs, "netdrop {ours:?}\n          bpftrace {theirs:?}");
    Ok(())
}
