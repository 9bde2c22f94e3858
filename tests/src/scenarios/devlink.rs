//! What hardware drops, by devlink-trap. netdevsim plays the hardware: each tenth of a second it reports a packet for every trap that
//! is set to tell (drivers/net/netdevsim/dev.c, `nsim_dev_trap_report`). What devlink itself counted of each trap is the second
//! witness.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Skip, until};
use crate::netdrop::{Netdrop, run_to_end};
use crate::runner::Bench;
use crate::scenario::{KernelTypes, System};

const BUS: &str = "/sys/bus/netdevsim";
/// The number of the device that is made here.
const NUMBER: u32 = 4711;
/// Traps of the kind `drop`, which are silent until somebody wants to know; and their classes.
const TRAPS: [(&str, &str, &str); 3] = [
    ("blackhole_route", "l3_drops", "policy"),
    ("tail_drop", "buffer_drops", "congestion"),
    ("ingress_flow_action_drop", "acl_drops", "policy"),
];
/// Reports to wait for.
const PACKETS: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(30);
/// netdevsim's frames have an Ethernet header, which devlink counts and netdrop doesn't.
const ETHERNET: u64 = 14;

pub fn table() -> Vec<System> {
    vec![
        System::new("devlink-trap-counts", |bench| {
            let mut seen = seen(bench, &[], Device::create()?)?;
            judge(&mut seen)
        }),
        System::new("devlink-trap-counts-of-every-drop", |bench| {
            let mut seen = seen(bench, &["--all"], Device::create()?)?;
            judge(&mut seen)?;
            judge_details(&seen)
        }),
        System::new("devlink-trap-device-comes-later", |bench| {
            Device::possible()?;
            let netdrop = Netdrop::start(&bench.netdrop, &["--hardware"])?;
            let device = Device::create()?;
            judge(&mut watched(netdrop, device)?)
        }),
        System::new("devlink-trap-left-out", |bench| {
            let seen = seen(bench, &["--no-hardware"], Device::create()?)?;
            let rows = seen.hardware_rows();
            ensure!(rows.is_empty(), "hardware's drops, though nobody wanted them: {rows:?}");
            Ok(())
        }),
        System::new("devlink-trap-filtered-by-protocol", |bench| {
            let seen = seen(bench, &["--proto", "tcp"], Device::create()?)?;
            let rows = seen.hardware_rows();
            ensure!(rows.is_empty(), "netdevsim's packets are UDP, and TCP was asked for: {rows:?}");
            let (filtered, reported) = (seen.account("filtered"), seen.reported());
            ensure!(filtered >= reported, "{reported} were reported, and {filtered} left out by the filter");
            judge_accounts(&seen)
        }),
        System::new("devlink-trap-filtered-by-device", |bench| {
            let device = Device::create()?;
            let name = device.interface.clone();
            judge(&mut seen(bench, &["--device", &name], device)?)
        }),
        System::new("devlink-trap-as-dropwatch-prints-it", dropwatch),
        System::new("devlink-trap-none-on-this-kernel", |bench| {
            if KernelTypes::read()?.has("btf_trace_devlink_trap_report") {
                return Err(Skip("this kernel has devlink".into()).into());
            }
            let ended = run_to_end(Command::new(&bench.netdrop).args(["watch", "--hardware"]))?;
            ensure!(ended.code == Some(4), "ended with {:?}: {}", ended.code, ended.stderr);
            ensure!(ended.stderr.contains("it has no devlink"), "{}", ended.stderr);
            Ok(())
        }),
    ]
}

fn dropwatch(bench: &Bench) -> Result<()> {
    let _device = Device::create()?;
    let arguments = ["watch", "--format", "dropwatch", "--interval", "200ms", "--duration", "4s"];
    let child = std::thread::spawn({
        let path = bench.netdrop.clone();
        move || run_to_end(Command::new(path).args(arguments))
    });
    tell("tail_drop", "trap")?;
    let ended = child.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
    let line = ended.stdout.lines().find(|line| line.ends_with(" drops at tail_drop [hardware]"));
    ensure!(line.is_some(), "no line of the trap: {}{}", ended.stdout, ended.stderr);
    Ok(())
}

/// What netdrop and devlink saw.
struct Seen {
    end: Value,
    drops: Vec<Value>,
    /// Packets and bytes of each of [`TRAPS`].
    counted: Vec<(u64, u64)>,
    device: Device,
}

impl Seen {
    fn hardware_rows(&self) -> Vec<&Value> {
        let rows = self.end["rows"].as_array().map_or(&[][..], Vec::as_slice);
        rows.iter().filter(|row| row["origin"] == "hardware").collect()
    }

    /// What devlink counted of all traps.
    fn reported(&self) -> u64 {
        self.counted.iter().map(|(packets, _)| packets).sum()
    }

    fn account(&self, name: &str) -> u64 {
        self.end["accounts"][name].as_u64().unwrap_or(0)
    }
}

fn seen(bench: &Bench, arguments: &[&str], device: Device) -> Result<Seen> {
    watched(Netdrop::start(&bench.netdrop, arguments)?, device)
}

/// Has the traps tell for a while, and compares nothing yet.
fn watched(mut netdrop: Netdrop, device: Device) -> Result<Seen> {
    for (trap, ..) in TRAPS {
        tell(trap, "trap")?;
    }
    until("reports of every trap", PATIENCE, || {
        let counted = counted_of_all()?;
        Ok(counted.iter().all(|(packets, _)| *packets >= PACKETS).then_some(()))
    })?;
    for (trap, ..) in TRAPS {
        tell(trap, "drop")?;
    }
    let counted = counted_of_all()?;
    netdrop.signal(Signal::SIGINT)?;
    let (status, lines, stderr) = netdrop.wait()?;
    ensure!(status.success(), "netdrop ended with {status}: {}", stderr.trim());
    let end = lines.last().filter(|line| line["kind"] == "end").context("no `end` line at the end")?.clone();
    let drops = lines.into_iter().filter(|line| line["origin"] == "hardware").collect();
    Ok(Seen { end, drops, counted, device })
}

/// A row a trap, with devlink's own numbers, and none of another trap: those for exceptions and control packets, some of which
/// tell from the start, are no drops.
fn judge(seen: &mut Seen) -> Result<()> {
    let rows = seen.hardware_rows();
    ensure!(rows.len() == TRAPS.len(), "{} rows of hardware, not {}: {rows:?}", rows.len(), TRAPS.len());
    for ((name, group, class), (packets, bytes)) in TRAPS.into_iter().zip(&seen.counted) {
        let row = rows.iter().find(|row| row["trap"]["name"] == name);
        let row = row.with_context(|| format!("no row of {name}: {rows:?}"))?;
        let trap = &row["trap"];
        ensure!(trap["group"] == group && row["class"] == class, "another group or class: {row}");
        ensure!(trap["driver"] == "netdevsim" && trap["device"] == handle(), "another device: {row}");
        ensure!(row["device"]["name"] == seen.device.interface, "another interface: {row}");
        ensure!(row["protocol"] == "udp" && row.get("address").is_none(), "{row}");
        ensure!(row["count"] == *packets, "devlink counted {packets} packets of {name}: {row}");
        ensure!(row["bytes"] == bytes - ETHERNET * packets, "devlink counted {bytes} bytes of {name}: {row}");
    }
    judge_accounts(seen)
}

fn judge_accounts(seen: &Seen) -> Result<()> {
    let ends = ["detailed", "sampled_out", "ring_full", "filtered"].map(|name| seen.account(name));
    let balance = ends.iter().sum::<u64>() == seen.account("seen") && seen.account("seen") >= seen.reported();
    ensure!(balance, "{} reported; {}", seen.reported(), seen.end["accounts"]);
    Ok(())
}

/// Each packet has its line.
fn judge_details(seen: &Seen) -> Result<()> {
    let lines = seen.drops.len();
    ensure!(lines as u64 == seen.reported(), "{lines} lines of {} packets", seen.reported());
    for drop in &seen.drops {
        let packet = &drop["packet"];
        let flow = [&packet["source"]["address"], &packet["destination"]["address"]];
        ensure!(
            flow == ["192.0.2.1", "198.51.100.1"] && packet["protocol"] == "udp",
            "another packet: {drop}"
        );
        let whole = drop["trap"]["group"].is_string() && drop["class"].is_string();
        ensure!(whole && drop.get("function").is_none() && drop.get("socket").is_none(), "{drop}");
    }
    Ok(())
}

/// A simulated network card with one port, up. It goes away with this value.
pub struct Device {
    /// What its port is called.
    pub interface: String,
}

impl Device {
    /// Whether this machine can have one.
    fn possible() -> Result<()> {
        if !PathBuf::from(BUS).exists() {
            return Err(Skip("no netdevsim here (CONFIG_NETDEVSIM)".into()).into());
        }
        let devlink = Command::new("devlink").arg("-V").output();
        devlink.map(drop).map_err(|error| Skip(format!("no devlink tool (iproute2): {error}")).into())
    }

    /// Makes one; a machine that can't skips the test.
    pub fn create() -> Result<Self> {
        Self::possible()?;
        write("new_device", &format!("{NUMBER} 1"))?;
        let mut device = Self { interface: String::new() };
        let folder = format!("{BUS}/devices/netdevsim{NUMBER}/net");
        device.interface = until("netdevsim's interface", PATIENCE, || {
            let Ok(mut entries) = fs::read_dir(&folder) else { return Ok(None) };
            Ok(entries.next().transpose()?.and_then(|entry| entry.file_name().into_string().ok()))
        })?;
        run("ip", &["link", "set", &device.interface, "up"])?;
        Ok(device)
    }
}

/// A switch of how the device plays its card (drivers/net/netdevsim/ethtool.c).
pub fn play(what: &str, is_on: bool) -> Result<()> {
    let file = format!("/sys/kernel/debug/netdevsim/netdevsim{NUMBER}/ports/0/ethtool/{what}");
    fs::write(&file, if is_on { "Y" } else { "N" }).with_context(|| format!("{file} can't be set"))
}

/// The device as devlink(8) calls it.
fn handle() -> String {
    format!("netdevsim/netdevsim{NUMBER}")
}

/// `trap`: packets are reported; `drop`: they are dropped in silence.
fn tell(trap: &str, action: &str) -> Result<()> {
    run("devlink", &["trap", "set", &handle(), "trap", trap, "action", action]).map(drop)
}

fn counted_of_all() -> Result<Vec<(u64, u64)>> {
    TRAPS.into_iter().map(|(trap, ..)| counted(trap)).collect()
}

/// Packets and bytes that devlink counted of a trap.
fn counted(trap: &str) -> Result<(u64, u64)> {
    let text = run("devlink", &["-js", "trap", "show", &handle(), "trap", trap])?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
    let received = value.pointer(&format!("/trap/{}/0/stats/rx", handle().replace('/', "~1")));
    let number = |name| received?.get(name)?.as_u64();
    number("packets").zip(number("bytes")).with_context(|| format!("no statistics: {text}"))
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = write("del_device", &NUMBER.to_string());
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    fs::write(format!("{BUS}/{file}"), text).with_context(|| format!("{BUS}/{file} refused `{text}`"))
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("can't run {program}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {} failed: {}", arguments.join(" "), error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
