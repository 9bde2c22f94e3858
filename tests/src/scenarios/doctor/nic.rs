//! Network cards: what rings, interrupts and the transmitter's watchdog tell of those that a guest has.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::Value;

use super::PATIENCE;
use crate::bpf::{XdpMode, attach_xdp_drop};
use crate::doctor::{Doctor, apply, examined, since_boot};
use crate::lab::{Card, Lab, RECEIVER, SENDER, Skip, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};
use crate::scenarios::devlink::{Device, play};

/// The card of `VMware`, whose rings can be set.
const VMXNET3: &str = "vmxnet3";
/// QEMU's own.
const VIRTIO: &str = "virtio_net";
/// The shortest that its driver allows, for both directions.
const SHORTEST: u64 = 32;
/// As many datagrams as one call may send at once (`UDP_MAX_SEGMENTS`, include/linux/udp.h, of older kernels), and their size.
const BURST: usize = 64;
const SIZE: usize = 100;

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-nic-silence", silence),
        ("doctor-nic-ring", ring),
        ("doctor-nic-indirection", indirection),
        ("doctor-nic-requeues", requeues),
        ("doctor-nic-tx-timeout", tx_timeout),
        ("doctor-nic-xdp", xdp),
        ("doctor-nic-saturated", saturated),
        ("doctor-nic-pause", pause),
    ])
}

/// Two cards whose ends are in namespaces of their own.
struct Wire {
    lab: Lab,
    cards: [Card; 2],
}

impl Wire {
    fn of(driver: &'static str) -> Result<Self> {
        let cards = Card::pair(driver)?;
        Ok(Self { lab: Lab::wired(&cards)?, cards })
    }

    fn bound(&self) -> Result<UdpSocket> {
        self.lab.receiver.enter(|| Ok(UdpSocket::bind((RECEIVER.v4, 9))?))
    }

    /// Sends datagrams one by one; returns how many arrived.
    fn datagrams(&self, count: usize) -> Result<usize> {
        let receiver = self.bound()?;
        let sender = self.lab.from().enter(|| Ok(UdpSocket::bind((SENDER.v4, 0))?))?;
        for _ in 0..count {
            sender.send_to(&[0; SIZE], (RECEIVER.v4, 9))?;
        }
        self.arrived(&receiver)
    }

    /// Sends bursts, each of a flow of its own, by the CPU that the receiver's interrupts come to: the list of datagrams is given to the driver with
    /// software interrupts off (`__dev_queue_xmit`, net/core/dev.c), so that nobody can empty a ring meanwhile. Returns how many arrived.
    fn bursts(&self, count: usize) -> Result<usize> {
        let cpu = self.cards[1].cpu()?;
        let receiver = self.bound()?;
        self.lab.from().enter(|| {
            let mut cpus = CpuSet::new();
            cpus.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &cpus)?;
            for _ in 0..count {
                let socket = UdpSocket::bind((SENDER.v4, 0))?;
                setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(SIZE)?)?;
                socket.send_to(&[0; BURST * SIZE], (RECEIVER.v4, 9))?;
            }
            Ok(())
        })?;
        self.arrived(&receiver)
    }

    /// How many datagrams of bursts wait or come, up to a last one: it is behind them on the wire.
    fn arrived(&self, receiver: &UdpSocket) -> Result<usize> {
        const LAST: &[u8] = b"last";
        receiver.set_read_timeout(Some(Duration::from_millis(100)))?;
        let sender = self.lab.from().enter(|| Ok(UdpSocket::bind((SENDER.v4, 0))?))?;
        let mut count = 0;
        until("the last datagram", PATIENCE, || match receiver.recv(&mut [0; SIZE]) {
            Ok(SIZE) => {
                count += 1;
                Ok(None)
            }
            Ok(_) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sender.send_to(LAST, (RECEIVER.v4, 9))?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        })
    }
}

fn evidence<'f>(finding: &'f Value, name: &str) -> Result<&'f Value> {
    let all = finding["evidence"].as_array().context("no evidence")?;
    let found = all.iter().find(|one| one["counter"] == name || one["name"] == name);
    found.with_context(|| format!("no {name}: {all:?}"))
}

fn rose(finding: &Value, counter: &str) -> Result<u64> {
    let moved = evidence(finding, counter)?;
    let by = moved["after"].as_u64().zip(moved["before"].as_u64());
    by.map(|(after, before)| after - before).with_context(|| format!("{moved} is no counter"))
}

/// Plain traffic over healthy cards: nothing is found.
fn silence(bench: &Bench) -> Result<()> {
    for driver in [VMXNET3, VIRTIO] {
        let wire = Wire::of(driver)?;
        for namespace in [wire.lab.from(), &wire.lab.receiver] {
            let told = examined(bench, namespace, "link,ring,interrupts,qdisc", || {
                let arrived = wire.datagrams(BURST)?;
                ensure!(arrived == BURST, "{arrived} arrived");
                Ok(())
            })?;
            ensure!(told.findings.is_empty(), "{driver}: {:?}", told.findings);
        }
    }
    Ok(())
}

/// A burst that is longer than the ring: the card has no buffer for the rest. In the ring as printed all of it finds room.
fn ring(bench: &Bench) -> Result<()> {
    const CHECK: &str = "ring-overrun";
    let wire = Wire::of(VMXNET3)?;
    let lab = &wire.lab;
    lab.receiver.run_with_input(&format!("ethtool -G r0 rx {SHORTEST}"), "")?;
    let mut arrived = 0;
    let told = examined(bench, &lab.receiver, "ring", || {
        arrived = wire.bursts(1)?;
        Ok(())
    })?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "r0", "{finding}");
    let lost = usize::try_from(rose(finding, "pkts rx OOB")?)?;
    ensure!(lost + arrived == BURST && arrived < SHORTEST.try_into()?, "{arrived} arrived: {finding}");
    let size = evidence(finding, "receive ring")?["value"].as_str().unwrap_or_default();
    ensure!(size.starts_with(&format!("{SHORTEST} of ")), "{finding}");
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "ring", || {
        arrived = wire.bursts(1)?;
        Ok(())
    })?;
    ensure!(arrived == BURST, "{arrived} arrived");
    told.none(CHECK)
}

/// A card that loses packets, and whose table leaves a queue out; the printed command brings it in.
fn indirection(bench: &Bench) -> Result<()> {
    const CHECK: &str = "interrupts-indirection";
    let wire = Wire::of(VMXNET3)?;
    let lab = &wire.lab;
    lab.receiver.run_with_input(&format!("ethtool -G r0 rx {SHORTEST}"), "")?;
    lab.receiver.feature("table of queues", "ethtool -X r0 weight 1 0", "")?;
    let examine = || {
        examined(bench, &lab.receiver, "interrupts", || {
            let arrived = wire.bursts(1)?;
            ensure!(arrived < BURST, "nothing was lost");
            Ok(())
        })
    };
    let told = examine()?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "r0", "{finding}");
    // All packets come by one queue, whatever their flows.
    told.none("interrupts-one-flow")?;
    apply(finding)?;
    examine()?.none(CHECK)
}

/// Lists of datagrams that are longer than the transmit ring go back to wait; in the ring as printed they find room.
fn requeues(bench: &Bench) -> Result<()> {
    const CHECK: &str = "qdisc-requeues";
    const BURSTS: usize = 32;
    let wire = Wire::of(VMXNET3)?;
    let lab = &wire.lab;
    lab.from().run_with_input(&format!("ethtool -G s0 tx {SHORTEST}"), "")?;
    let examine = || {
        examined(bench, lab.from(), "qdisc", || {
            wire.bursts(BURSTS)?;
            Ok(())
        })
    };
    let told = examine()?;
    // A card of several queues has a queueing discipline for each.
    let found: Vec<_> = told.findings.iter().filter(|finding| finding["check"] == CHECK).collect();
    let finding = found.first().with_context(|| format!("{:?}", told.findings))?;
    ensure!(rose(finding, "requeues")? >= 100, "{finding}");
    apply(finding)?;
    examine()?.none(CHECK)
}

/// The other card is pulled out: what is sent stays in the ring until the watchdog barks. Once it is back, all goes on.
fn tx_timeout(bench: &Bench) -> Result<()> {
    const CHECK: &str = "qdisc-tx-timeout";
    let [card, other] = Card::pair(VIRTIO)?;
    let name = card.name()?;
    let counters = Command::new("ethtool").args(["-S", &name]).output()?.stdout;
    if !String::from_utf8_lossy(&counters).contains("tx_timeouts") {
        return Err(Skip(format!("{VIRTIO} of this kernel has no watchdog")).into());
    }
    let neighbour = format!("neigh replace {} lladdr 02:00:00:00:00:02 dev {name}", RECEIVER.v4);
    for line in [format!("link set {name} up"), format!("addr add {}/24 dev {name}", SENDER.v4), neighbour] {
        shell(&format!("ip {line}"))?;
    }
    shell(&format!("ip link set {} up", other.name()?))?;
    let queue = format!("/sys/class/net/{name}/queues/tx-0/tx_timeout");
    let timeouts = || -> Result<u64> { Ok(fs::read_to_string(&queue)?.trim().parse()?) };
    // More than its ring holds.
    let send = || -> Result<()> {
        for _ in 0..20 {
            let socket = UdpSocket::bind((SENDER.v4, 0))?;
            socket.set_nonblocking(true)?;
            for _ in 0..50 {
                let _ = socket.send_to(b"hey", (RECEIVER.v4, 9));
            }
        }
        Ok(())
    };
    let doctor = Doctor::start(bench, &["--only", "qdisc"])?;
    other.unbind()?;
    send()?;
    until("the watchdog", PATIENCE, || Ok((timeouts()? > 0).then_some(())))?;
    let told = doctor.end(bench)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == format!("{name} tx-0") && finding["severity"] == "critical", "{finding}");
    // They tell of driver and card.
    apply(finding)?;
    other.bind()?;
    shell(&format!("ip link set {} up", other.name()?))?;
    let passed = || counter(&name, "tx_packets");
    let before = passed()?;
    until("the queue to go on", PATIENCE, || Ok((passed()? > before).then_some(())))?;
    let doctor = Doctor::start(bench, &["--only", "qdisc"])?;
    send()?;
    doctor.end(bench)?.none(CHECK)
}

/// An XDP program drops what comes, which is its will, though the driver counts it among what it drops: nothing is found.
fn xdp(bench: &Bench) -> Result<()> {
    const DATAGRAMS: u64 = 50;
    let wire = Wire::of(VIRTIO)?;
    let (from, receiver) = (wire.lab.from(), &wire.lab.receiver);
    let devices = receiver.devices()?;
    let (index, _) = devices.iter().find(|(_, name)| name == RECEIVER.device).context("no card")?;
    let program = receiver.enter(|| attach_xdp_drop(*index, XdpMode::Native));
    let _program = program.map_err(|error| Skip(format!("no XDP at this card: {error:#}")))?;
    let dropped = || -> Result<u64> {
        let text = receiver.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("r0:"));
        let mut fields = line.context("no r0")?.split_whitespace();
        // Bytes, packets, errs, drop: proc(5).
        Ok(fields.nth(3).context("too short a line")?.parse()?)
    };
    let before = dropped()?;
    let told = examined(bench, receiver, "link", || {
        let socket = from.enter(|| Ok(UdpSocket::bind((SENDER.v4, 0))?))?;
        for _ in 0..DATAGRAMS {
            socket.send_to(b"hey", (RECEIVER.v4, 9))?;
        }
        until("the program", PATIENCE, || Ok((dropped()? >= before + DATAGRAMS).then_some(())))
    })?;
    told.none("link-discards")
}

/// A link of 10 Mbit/s that gets more than that to send; a faster one, as is advised, carries it.
fn saturated(bench: &Bench) -> Result<()> {
    const CHECK: &str = "link-saturated";
    // Some 90 Mbit: no machine is so slow that it takes the ten seconds that would be as fast as the link.
    const DATAGRAMS: usize = 8000;
    let wire = Wire::of(VIRTIO)?;
    let from = wire.lab.from();
    let _receiver = wire.bound()?;
    let send = || {
        let sender = from.enter(|| Ok(UdpSocket::bind((SENDER.v4, 0))?))?;
        for _ in 0..DATAGRAMS {
            sender.send_to(&[0; 1400], (RECEIVER.v4, 9))?;
        }
        Ok(())
    };
    from.feature("speed that can be set", "ethtool -s s0 speed 10 duplex full", "")?;
    let told = examined(bench, from, "link-saturated", send)?;
    let finding = told.one(CHECK)?;
    let sentence = finding["sentence"].as_str().unwrap_or_default();
    ensure!(finding["subject"] == "s0" && sentence.starts_with("s0 sends "), "{finding}");
    from.run_with_input("ethtool -s s0 speed 100000 duplex full", "")?;
    examined(bench, from, "link-saturated", send)?.none(CHECK)
}

/// A simulated card that tells of pause frames in both directions, always of as many: history. It takes the printed commands, and has what they set.
fn pause(bench: &Bench) -> Result<()> {
    const CHECKS: [&str; 2] = ["link-pause-received", "link-pause-sent"];
    const SWITCHES: [&str; 2] = ["pause/report_stats_rx", "pause/report_stats_tx"];
    let device = Device::create()?;
    let name = &device.interface;
    let ethtool = |words: &str| -> Result<String> {
        let output = Command::new("ethtool").args(words.split(' ')).arg(name).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" "))
    };
    shell(&format!("ethtool -A {name} rx on tx on && ethtool -G {name} rx 512"))?;
    SWITCHES.iter().try_for_each(|switch| play(switch, false))?;
    let doctor = Doctor::start(bench, &["--only", "link"])?;
    SWITCHES.iter().try_for_each(|switch| play(switch, true))?;
    // What it had counted when it told nothing yet, nobody knows: that is no trouble of the window.
    let within = doctor.end(bench)?;
    CHECKS.iter().try_for_each(|check| within.none(check))?;
    let told = since_boot(bench, "link")?;
    for check in CHECKS {
        let finding = told.one(check)?;
        ensure!(finding["subject"] == name.as_str(), "{finding}");
        ensure!(evidence(finding, "flow control")?["value"] == "receive on, transmit on", "{finding}");
        apply(finding)?;
    }
    let (flow, ring) = (ethtool("-a")?, ethtool("-g")?);
    ensure!(flow.contains("RX: off TX: off"), "{flow}");
    let now = ring.split("Current").nth(1).unwrap_or_default();
    ensure!(now.contains("RX: 4096"), "{ring}");
    let told = Doctor::start(bench, &["--only", "link"])?.end(bench)?;
    CHECKS.iter().try_for_each(|check| told.none(check))
}

fn counter(device: &str, name: &str) -> Result<u64> {
    Ok(fs::read_to_string(format!("/sys/class/net/{device}/statistics/{name}"))?.trim().parse()?)
}

fn shell(command: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", command]).output().context("no shell")?;
    ensure!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
