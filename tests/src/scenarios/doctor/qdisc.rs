//! Queueing disciplines.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::link::{Pair, run};
use crate::doctor::{Doctor, Kept, apply, examined};
use crate::lab::{Lab, RECEIVER, Skip};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

const DROPS: &str = "qdisc-drops";
const BURST: usize = 60;

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-qdisc-tbf", tbf),
        ("doctor-qdisc-pfifo", pfifo),
        ("doctor-qdisc-htb-class", htb_class),
        ("doctor-qdisc-fq-codel", fq_codel),
        ("doctor-qdisc-netem", netem),
        ("doctor-qdisc-standing", standing),
        ("doctor-qdisc-pacing", pacing),
    ])
}

/// A pair whose sender's device has these, in tc's words; a kernel without them skips the case.
fn sending_by(lines: &[&str]) -> Result<Lab> {
    let lab = Lab::pair()?;
    for line in lines {
        lab.from().feature("such a qdisc", &format!("tc {line}"), "")?;
    }
    Ok(lab)
}

fn burst(lab: &Lab) -> Result<()> {
    let socket = lab.from().enter(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    for _ in 0..BURST {
        socket.send_to(&[0; 1000], (RECEIVER.v4, 9))?;
    }
    Ok(())
}

/// A burst finds it too small; after the printed command it holds the same burst.
fn mended(bench: &Bench, lab: &Lab, subject: &str) -> Result<()> {
    let told = examined(bench, lab.from(), "qdisc", || burst(lab))?;
    let finding = told.one(DROPS)?;
    is_of(finding, subject)?;
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    let moved = &evidence[0];
    let dropped = moved["after"].as_u64().zip(moved["before"].as_u64()).map(|(after, before)| after - before);
    let freed: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
    ensure!(dropped == Some(freed) && freed > 10, "{dropped:?} and netdrop's {freed}: {finding}");
    apply(finding)?;
    examined(bench, lab.from(), "qdisc", || burst(lab))?.none(DROPS)
}

fn is_of(finding: &Value, subject: &str) -> Result<()> {
    ensure!(finding["subject"] == subject, "not {subject}: {finding}");
    Ok(())
}

/// A bucket whose queue is shorter than a burst.
fn tbf(bench: &Bench) -> Result<()> {
    let lab = sending_by(&["qdisc add dev s0 root handle 1: tbf rate 800kbit burst 1540 limit 2000"])?;
    mended(bench, &lab, "s0: tbf 1:")
}

/// The queue inside is the short one, and it is told, not the bucket around it.
fn pfifo(bench: &Bench) -> Result<()> {
    let lab = sending_by(&[
        "qdisc add dev s0 root handle 1: tbf rate 800kbit burst 1540 limit 2000000",
        "qdisc add dev s0 parent 1:1 handle 2: pfifo limit 3",
    ])?;
    mended(bench, &lab, "s0: pfifo 2:")
}

/// A class whose queue is that of the device: it gets one of its own.
fn htb_class(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    lab.from().ip(&["link set s0 txqueuelen 3"])?;
    for line in [
        "tc qdisc add dev s0 root handle 1: htb default 10",
        "tc class add dev s0 parent 1: classid 1:10 htb rate 800kbit",
    ] {
        lab.from().feature("htb", line, "")?;
    }
    mended(bench, &lab, "s0: class 1:10 of htb")
}

/// Full, and not keeping delay short: its limit is what is short.
fn fq_codel(bench: &Bench) -> Result<()> {
    let lab = sending_by(&[
        "qdisc add dev s0 root handle 1: tbf rate 8mbit burst 1540 limit 2000000",
        "qdisc add dev s0 parent 1:1 handle 2: fq_codel limit 3 target 900ms interval 1s",
    ])?;
    mended(bench, &lab, "s0: fq_codel 2:")
}

/// Left behind by a test.
fn netem(bench: &Bench) -> Result<()> {
    let lab = sending_by(&["qdisc add dev s0 root handle 1: netem loss 100%"])?;
    mended(bench, &lab, "s0: netem 1:")
}

/// Seconds of data wait. The shaper is somebody's will: what helps is a rate.
fn standing(bench: &Bench) -> Result<()> {
    const CHECK: &str = "qdisc-standing-queue";
    let lab = sending_by(&["qdisc add dev s0 root handle 1: tbf rate 80kbit burst 1540 limit 2000000"])?;
    burst(&lab)?;
    let told = examined(bench, lab.from(), "qdisc", || {
        burst(&lab)?;
        // So long that some are sent, and that all would have been by a link that keeps up.
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    let finding = told.one(CHECK)?;
    is_of(finding, "s0: tbf 1:")?;
    apply(finding)?;
    let faster = "tc qdisc replace dev s0 root handle 1: tbf rate 800mbit burst 100k limit 2000000";
    lab.from().feature("tbf", faster, "")?;
    examined(bench, lab.from(), "qdisc", || burst(&lab))?.none(CHECK)
}

/// BBR over a device whose queue keeps no pace; with the printed default, devices to come will.
fn pacing(bench: &Bench) -> Result<()> {
    const CHECK: &str = "qdisc-pacing";
    const CONTROL: &str = "net/ipv4/tcp_congestion_control";
    const DEFAULT: &str = "net/core/default_qdisc";
    let _kept = Kept::of_guest(&[CONTROL, DEFAULT])?;
    Kept::set(DEFAULT, "pfifo_fast")?;
    Kept::set(CONTROL, "bbr").map_err(|error| Skip(format!("no BBR here: {error}")))?;
    // In the guest's own namespace: no other shows the default.
    let _pair = Pair::of_guest()?;
    for line in [
        "ip link set nd0 up",
        "ip link set nd1 up",
        "ip addr add 192.0.2.1/24 dev nd0",
        "ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev nd0",
        "tc qdisc add dev nd0 root pfifo",
    ] {
        run(line)?;
    }
    let socket = UdpSocket::bind("192.0.2.1:0")?;
    (0..9).try_for_each(|_| socket.send_to(b"hey", "192.0.2.2:9").map(drop))?;
    let examine = || Doctor::start(bench, &["--only", "qdisc"])?.end(bench);
    let told = examine()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "info", "{finding}");
    apply(finding)?;
    examine()?.none(CHECK)
}
