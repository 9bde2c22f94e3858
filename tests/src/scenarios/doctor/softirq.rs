//! The software interrupt and its backlog.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::doctor::{Doctor, Kept, Told, apply};
use crate::lab::{Lab, wait_running};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-backlog", backlog), ("doctor-flow-limit", flow_limit), ("doctor-squeeze", squeeze)])
}

const BACKLOG: &str = "net/core/netdev_max_backlog";
/// Ports of the bridge, and datagrams that are sent to all of them.
const PORTS: u64 = 20;
const DATAGRAMS: u64 = 50;

/// A bridge with veth pairs at its ports. What is broadcast becomes a packet for each of them at once, all in the backlog of the sending CPU before its
/// software interrupt may run: the bridge's own transmission holds it up (`__dev_queue_xmit`).
fn bridge() -> Result<Lab> {
    let lab = Lab::alone()?;
    lab.receiver.feature("bridge", "ip -batch -", "link add b0 type bridge\n")?;
    for port in 0..PORTS {
        let veth = format!("link add p{port} type veth peer name q{port}");
        lab.receiver.feature("veth", "ip -batch -", &(veth + "\n"))?;
        let [up, other] = [format!("link set p{port} master b0 up"), format!("link set q{port} up")];
        lab.receiver.ip(&[&up, &other])?;
    }
    lab.receiver.ip(&["addr add 10.9.0.1/24 brd 10.9.0.255 dev b0", "link set b0 up"])?;
    for port in 0..PORTS {
        wait_running(&lab.receiver, &format!("p{port}"), true)?;
    }
    wait_running(&lab.receiver, "b0", true)?;
    Ok(lab)
}

/// What the doctor says while all that is broadcast.
fn broadcast(bench: &Bench, lab: &Lab) -> Result<Told> {
    let doctor = Doctor::start(bench, &["--only", "softirq"])?;
    lab.receiver.enter(|| {
        let socket = UdpSocket::bind("10.9.0.1:0")?;
        socket.set_broadcast(true)?;
        for _ in 0..DATAGRAMS {
            socket.send_to(b"hey", "10.9.0.255:9")?;
        }
        Ok(())
    })?;
    doctor.end(bench)
}

/// By how much counters whose names begin so rose.
fn rose(finding: &Value, name: &str) -> Result<u64> {
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    let of = evidence
        .iter()
        .filter(|one| one["counter"].as_str().is_some_and(|counter| counter.starts_with(name)));
    Ok(of.filter_map(|one| one["after"].as_u64()?.checked_sub(one["before"].as_u64()?)).sum())
}

/// A backlog that is short for bursts: each packet beyond is counted, and with the printed length it carries the same bursts.
fn backlog(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-backlog-full";
    let _kept = Kept::of_guest(&[BACKLOG])?;
    let lab = bridge()?;
    Kept::set(BACKLOG, "2")?;
    let told = broadcast(bench, &lab)?;
    let finding = told.one(CHECK)?;
    // Three of each burst find room: as many may wait as are there when one comes (`qlen <= max_backlog`).
    let (dropped, expected) = (rose(finding, "dropped on CPU")?, DATAGRAMS * (PORTS - 3));
    ensure!(dropped >= expected, "{dropped} of {expected}: {finding}");
    ensure!(finding["severity"] == "critical", "{finding}");
    let drops = finding["evidence"].as_array().into_iter().flatten().filter_map(|one| one["drops"].as_u64());
    let drops: u64 = drops.sum();
    ensure!(drops >= expected, "netdrop counted {drops}: {finding}");
    apply(finding)?;
    broadcast(bench, &lab)?.none(CHECK)
}

/// A flow limit drops what is most of a half-full backlog; as printed, it is switched off.
fn flow_limit(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-flow-limit";
    const BITMAP: &str = "net/core/flow_limit_cpu_bitmap";
    let _kept = Kept::of_guest(&[BACKLOG, BITMAP])?;
    let lab = bridge()?;
    // Some of each burst find it half full, and of the last 128 such packets no more than 64 may be of one flow.
    Kept::set(BACKLOG, "10")?;
    let cpus = std::thread::available_parallelism()?.get().min(32);
    Kept::set(BITMAP, &format!("{:x}", u64::MAX >> (64 - cpus)))?;
    let told = broadcast(bench, &lab)?;
    let finding = told.one(CHECK)?;
    ensure!(rose(finding, "flow_limit_count on CPU")? > 0, "{finding}");
    apply(finding)?;
    broadcast(bench, &lab)?.none(CHECK)
}

/// Runs of one packet each: every run ends early. With the printed budget none does.
fn squeeze(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-time-squeeze";
    const BUDGET: &str = "net/core/netdev_budget";
    let _kept = Kept::of_guest(&[BUDGET, "net/core/netdev_budget_usecs", "net/core/dev_weight"])?;
    let lab = Lab::alone()?;
    let examine = || -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "softirq"])?;
        lab.receiver.enter(|| {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..5000 {
                sender.send_to(b"hey", receiver.local_addr()?)?;
                receiver.recv(&mut [0; 3])?;
            }
            Ok(())
        })?;
        doctor.end(bench)
    };
    Kept::set(BUDGET, "1")?;
    let told = examine()?;
    let finding = told.one(CHECK)?;
    ensure!(rose(finding, "time_squeeze on CPU")? >= 4000, "{finding}");
    ensure!(finding["severity"] == "warning", "{finding}");
    apply(finding)?;
    examine()?.none(CHECK)
}
