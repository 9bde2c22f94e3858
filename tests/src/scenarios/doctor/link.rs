//! Links and queues: what virtual devices can show.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::doctor::{Doctor, Kept, apply, examined};
use crate::lab::guest::in_guest;
use crate::lab::{Lab, Namespace, Skip, wait_running};
use crate::runner::Bench;
use crate::scenario::{Case, systems};
use crate::traffic::{Ethernet, PacketSocket};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-link-flapping", flapping),
        ("doctor-link-length", length),
        ("doctor-link-discards", discards),
        ("doctor-link-silence", silence),
        ("doctor-steering", steering),
        ("doctor-steering-one-queue", one_queue),
    ])
}

fn evidence<'f>(finding: &'f Value, name: &str) -> Result<&'f Value> {
    let all = finding["evidence"].as_array().context("no evidence")?;
    all.iter()
        .find(|one| one["counter"] == name || one["name"] == name)
        .with_context(|| format!("no {name}: {all:?}"))
}

fn send(namespace: &Namespace, count: u32, length: usize) -> Result<()> {
    namespace.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for _ in 0..count {
            // A frame that the other end refuses is an error of the sender's.
            let _ = socket.send_to(&vec![0; length], (Ipv4Addr::new(10, 9, 0, 2), 9));
        }
        Ok(())
    })
}

/// The other end goes down and up three times; once it stays, nothing is found.
fn flapping(bench: &Bench) -> Result<()> {
    const CHECK: &str = "link-flapping";
    let lab = Lab::pair()?;
    let told = examined(bench, &lab.receiver, "link", || {
        for _ in 0..3 {
            lab.from().ip(&["link set s0 down"])?;
            wait_running(&lab.receiver, "r0", false)?;
            lab.from().ip(&["link set s0 up"])?;
            wait_running(&lab.receiver, "r0", true)?;
        }
        Ok(())
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "r0" && finding["severity"] == "warning", "{finding}");
    let changes = evidence(finding, "carrier changes")?;
    let by = changes["after"].as_u64().zip(changes["before"].as_u64()).map(|(after, before)| after - before);
    ensure!(by == Some(6), "{changes}");
    examined(bench, &lab.receiver, "link", || send(lab.from(), 50, 100))?.none(CHECK)
}

/// Frames that are longer than the other end of the pair takes; the printed MTU mends it.
fn length(bench: &Bench) -> Result<()> {
    const CHECK: &str = "link-length";
    const FRAMES: u32 = 50;
    let lab = Lab::pair()?;
    lab.receiver.ip(&["link set r0 mtu 1400"])?;
    let told = examined(bench, lab.from(), "link", || send(lab.from(), FRAMES, 1472))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "s0" && finding["certainty"] == "certain", "{finding}");
    ensure!(evidence(finding, "mtu of the other end")?["value"] == "1400", "{finding}");
    ensure!(evidence(finding, "tx_dropped")?["after"] == FRAMES, "{finding}");
    apply(finding)?;
    examined(bench, lab.from(), "link", || send(lab.from(), FRAMES, 1472))?.none(CHECK)
}

/// Frames of a protocol that nobody speaks are discarded and told as such; a few are no finding.
fn discards(bench: &Bench) -> Result<()> {
    const CHECK: &str = "link-discards";
    const FRAMES: u64 = 40;
    let lab = Lab::pair()?;
    let frame =
        Ethernet { destination: [0xff; 6], source: [2, 0, 0, 0, 0, 1], vlan: None, ethertype: 0x88b5 };
    let frame = frame.wrap(&[0; 46]);
    let inject = |count| PacketSocket::sender(lab.from(), "s0")?.repeat(&frame, count);
    let told = examined(bench, &lab.receiver, "link", || inject(FRAMES))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "r0", "{finding}");
    let dropped = evidence(finding, "rx_dropped")?;
    ensure!(
        dropped["after"]
            .as_u64()
            .zip(dropped["before"].as_u64())
            .is_some_and(|(after, before)| after - before == FRAMES),
        "{dropped}"
    );
    // Kernels without reasons tell the function alone.
    if finding["cause"].as_str().is_some_and(|cause| cause.contains("protocol")) {
        ensure!(finding["severity"] == "info", "{finding}");
    }
    examined(bench, &lab.receiver, "link", || inject(5))?.none(CHECK)
}

/// Plain traffic on a healthy pair: nothing is found at links, rings and interrupts.
fn silence(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let _receiver = lab.receiver.enter(|| Ok(UdpSocket::bind("10.9.0.2:9")?))?;
    let told = examined(bench, &lab.receiver, "link,ring,interrupts", || send(lab.from(), 100, 1000))?;
    ensure!(told.findings.is_empty(), "{:?}", told.findings);
    ensure!(told.unchecked.is_empty(), "{:?}", told.unchecked);
    ensure!(told.summary["checked"].as_u64() >= Some(20), "{}", told.summary);
    Ok(())
}

/// A veth pair in the guest's own namespace, where alone settings of the whole host can be seen.
pub(super) struct Pair;

impl Pair {
    pub fn of_guest() -> Result<Self> {
        in_guest("a device is made in its own namespace")?;
        run("ip link add nd0 type veth peer name nd1")?;
        Ok(Self)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = run("ip link del nd0");
    }
}

/// A command line in the own namespace.
pub(super) fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap_or_default()).args(words).status()?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// A queue that follows flows, on a host that doesn't: told, and the printed setting makes it whole.
fn steering(bench: &Bench) -> Result<()> {
    const CHECK: &str = "interrupts-steering";
    const SETTING: &str = "net/core/rps_sock_flow_entries";
    let _kept = Kept::of_guest(&[SETTING])?;
    Kept::set(SETTING, "0")?;
    let _pair = Pair::of_guest()?;
    let queue = "/sys/class/net/nd0/queues/rx-0/rps_flow_cnt";
    fs::write(queue, "4096").map_err(|error| Skip(format!("no RFS here: {error}")))?;
    let examine = || Doctor::start(bench, &["--only", "interrupts"])?.end(bench);
    let told = examine()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "nd0" && finding["severity"] == "info", "{finding}");
    ensure!(evidence(finding, "rps_flow_cnt of rx-0")?["value"] == "4096", "{finding}");
    apply(finding)?;
    examine()?.none(CHECK)
}

/// All CPUs send by one of two queues: told, and the printed command mends it.
fn one_queue(bench: &Bench) -> Result<()> {
    const CHECK: &str = "interrupts-steering";
    let lab = Lab::alone()?;
    let inside = |script: &str| -> Result<bool> {
        let command = ["netns", "exec", lab.receiver.name(), "sh", "-c", script];
        Ok(Command::new("ip").args(command).status()?.success())
    };
    let pair = "link add m0 numtxqueues 2 type veth peer name m1\nlink set m0 up\nlink set m1 up\n";
    lab.receiver.feature("veth", "ip -batch -", pair)?;
    let cpus = fs::read_to_string("/proc/stat")?.lines().filter(|line| line.starts_with("cpu")).count() - 1;
    if !(2..=31).contains(&cpus) {
        return Err(Skip(format!("{cpus} CPUs")).into());
    }
    let mask = (1_u32 << cpus) - 1;
    if !inside(&format!("echo {mask:x} > /sys/class/net/m0/queues/tx-0/xps_cpus"))? {
        return Err(Skip("no XPS here".into()).into());
    }
    let examine = || examined(bench, &lab.receiver, "interrupts", || Ok(()));
    let told = examine()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "m0" && finding["severity"] == "info", "{finding}");
    apply(finding)?;
    examine()?.none(CHECK)
}
