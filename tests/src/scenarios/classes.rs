//! `--class` where the reason says nothing: the function that drops has a class, in the filter as in all output.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::exactness::judge_accounts;
use super::shape::{ETHER_V4, UDP, V4};
use crate::lab::{Lab, SENDER, Skip, until};
use crate::netdrop::Netdrop;
use crate::report::{Report, Row};
use crate::runner::Bench;
use crate::scenario::System;
use crate::traffic::{Ip as _, Ipv4, PacketSocket, corrupt};

/// To a blackhole route and of IGMP with a wrong checksum: kernels give a reason for one or for none of these.
const BLACKHOLED: u64 = 8;
const GROUPS: u64 = 4;
/// To a closed port, and with a wrong checksum.
const CLOSED: u64 = 16;
const CORRUPT: u64 = 32;
const ALL: u64 = BLACKHOLED + GROUPS + CLOSED + CORRUPT;

pub fn table() -> Vec<System> {
    ["--class", "--not-class"]
        .into_iter()
        .map(|flag| System::new(&format!("filter-{}-by-site", &flag[2..]), move |bench| by_site(bench, flag)))
        .collect()
}

/// What is counted in the receiver's namespace: by class, and how many of each said no reason.
type Classes = BTreeMap<String, (u64, u64)>;

fn by_site(bench: &Bench, flag: &str) -> Result<()> {
    let lab = Lab::pair()?;
    lab.receiver.ip(&["route add blackhole 198.51.100.0/24"])?;
    let (all, _) = watched(bench, &lab, &[])?;
    let by_site = all.iter().any(|(class, (_, unsaid))| class != "unknown" && *unsaid > 0);
    if !by_site {
        return Err(Skip(format!("here no drop has its class by its site: {all:?}")).into());
    }
    let sum: u64 = all.values().map(|(count, _)| count).sum();
    ensure!(sum == ALL, "{sum} drops are counted without a filter, not {ALL}: {all:?}");
    for class in all.keys().map(String::as_str).chain(["unknown", "congestion"]) {
        let is_wanted = |one: &str| (one == class) == (flag == "--class");
        let wanted: Classes =
            all.iter().filter(|(one, _)| is_wanted(one)).map(|(one, of)| (one.clone(), *of)).collect();
        let (seen, report) = watched(bench, &lab, &[flag, class])?;
        ensure!(seen == wanted, "{flag} {class}\n          want {wanted:?}\n          seen {seen:?}");
        let rest = ALL - wanted.values().map(|(count, _)| count).sum::<u64>();
        let filtered = report.accounts.unwrap_or_default().filtered;
        ensure!(filtered >= rest, "{flag} {class}: {filtered} filtered, but {rest} of ours should have been");
    }
    Ok(())
}

fn watched(bench: &Bench, lab: &Lab, flags: &[&str]) -> Result<(Classes, Report)> {
    let mut netdrop = Netdrop::start(&bench.netdrop, &[&["--all"], flags].concat())?;
    send(lab)?;
    netdrop.signal(Signal::SIGINT)?;
    let report = netdrop.report()?;
    judge_accounts(&report)?;
    let mut classes = Classes::new();
    for row in report.rows.iter().filter(|row| row.inode() == Some(lab.receiver.inode())) {
        let (count, unsaid) = classes.entry(row.class.clone().context("a row without a class")?).or_default();
        *count += row.count;
        *unsaid += if says_nothing(row) { row.count } else { 0 };
    }
    Ok((classes, report))
}

fn says_nothing(row: &Row) -> bool {
    row.reason.as_deref().is_none_or(|reason| reason == "NOT_SPECIFIED")
}

fn send(lab: &Lab) -> Result<()> {
    let socket = PacketSocket::sender(lab.from(), SENDER.device)?;
    let counters = [("Udp", "NoPorts"), ("IpExt", "InCsumErrors")];
    let before = counters.map(|(group, name)| lab.receiver.counter(group, name));
    let lost = Ipv4 { destination: Ipv4Addr::new(198, 51, 100, 1), ..V4 };
    socket.repeat(&ETHER_V4.wrap(&V4.wrap(2, &[0x16, 0, 1, 2, 3, 4, 5, 6])), GROUPS)?;
    // The corrupt ones come last: when they are counted, the others have been.
    socket.repeat(&ETHER_V4.wrap(&UDP.packet(&lost, b"hey")), BLACKHOLED)?;
    socket.repeat(&ETHER_V4.wrap(&UDP.packet(&V4, b"hey")), CLOSED)?;
    socket.repeat(&ETHER_V4.wrap(&corrupt(UDP.packet(&V4, b"hey"), 10)), CORRUPT)?;
    for (((group, name), before), sent) in counters.into_iter().zip(before).zip([CLOSED, CORRUPT]) {
        let wanted = before? + sent;
        until(&format!("{group}.{name} to reach {wanted}"), Duration::from_secs(10), || {
            Ok((lab.receiver.counter(group, name)? >= wanted).then_some(()))
        })?;
    }
    Ok(())
}
