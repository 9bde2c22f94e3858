//! The software interrupt and its backlog.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use crate::doctor::{Doctor, Kept, Told, apply};
use crate::lab::guest::in_guest;
use crate::lab::{Lab, Skip, wait_running};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-backlog", backlog),
        ("doctor-flow-limit", flow_limit),
        ("doctor-squeeze", squeeze),
        ("doctor-imbalance", imbalance),
        ("doctor-ksoftirqd", ksoftirqd),
    ])
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
    const REASON: &[u8] = b"SKB_DROP_REASON_CPU_BACKLOG";
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
    let image = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
    // Older kernels inline the function that the drops would be known by.
    if image.windows(REASON.len()).any(|bytes| bytes == REASON) {
        ensure!(drops >= expected, "netdrop counted {drops}: {finding}");
    }
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

/// A device of the guest's own namespace, all of whose packets the first CPU has to receive: each goes through many rules. The second CPU sends them.
struct Flooded {
    lab: Lab,
}

/// How long a flood lasts: much more than a tick of the clock by which time is counted.
const FLOOD: Duration = Duration::from_secs(3);
const QUEUE: &str = "/sys/class/net/d0/queues/rx-0/rps_cpus";

impl Flooded {
    fn new() -> Result<Self> {
        const CHAIN: &str =
            "add table ip flooded\nadd chain ip flooded c { type filter hook prerouting priority 0; }\n";
        in_guest("a CPU is kept busy")?;
        if std::thread::available_parallelism()?.get() < 2 {
            return Err(Skip("there is one CPU".into()).into());
        }
        let lab = Lab::alone()?;
        shell(&format!("ip link add d0 type veth peer name s0 netns {}", lab.receiver.path()))?;
        shell("ip addr add 10.9.9.2/24 dev d0 && ip link set d0 up")?;
        lab.receiver.ip(&["link set s0 up", "addr add 10.9.9.1/24 dev s0"])?;
        wait_running(&lab.receiver, "s0", true)?;
        let rule = |host: u32| format!("add rule ip flooded c ip daddr 192.0.2.{host} drop\n");
        let rules: String = [CHAIN.to_owned()].into_iter().chain((1..=100).map(rule)).collect();
        let flooded = Self { lab };
        shell(&format!("nft -f - <<'EOF'\n{rules}EOF"))
            .map_err(|error| Skip(format!("no nftables here: {error}")))?;
        std::fs::write(QUEUE, "1").context("no RPS")?;
        Ok(flooded)
    }

    /// What the doctor says of a flood of many flows.
    fn examine(&self, bench: &Bench) -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "softirq"])?;
        self.lab.receiver.enter(|| {
            run_on(1)?;
            let sockets: Vec<_> = (0..64).map(|_| UdpSocket::bind("10.9.9.1:0")).collect::<Result<_, _>>()?;
            let start = Instant::now();
            while start.elapsed() < FLOOD {
                for socket in &sockets {
                    // Nobody listens, and no answer is waited for.
                    let _ = socket.send_to(b"hey", "10.9.9.2:9");
                }
            }
            Ok(())
        })?;
        doctor.end(bench)
    }
}

impl Drop for Flooded {
    fn drop(&mut self) {
        // The device goes with the namespace of its other end.
        let _ = shell("nft delete table ip flooded");
    }
}

fn shell(command: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", command]).output().context("no shell")?;
    ensure!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Keeps the calling thread on a CPU.
fn run_on(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

/// One CPU receives everything; with the printed mask all do.
fn imbalance(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-imbalance";
    let flooded = Flooded::new()?;
    let told = flooded.examine(bench)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "CPU 0", "{finding}");
    apply(finding)?;
    flooded.examine(bench)?.none(CHECK)
}

/// Programs keep ksoftirqd from the CPU that receives everything; without them there, it has it for itself.
fn ksoftirqd(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-ksoftirqd-starved";
    const TRIES: usize = 3;
    let flooded = Flooded::new()?;
    let is_over = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let ran = run_on(0);
                while ran.is_ok() && !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let told = flooded.examine(bench);
        is_over.store(true, Ordering::Relaxed);
        told
    })?;
    if let Some(why) = told.unchecked.iter().find(|one| one["check"] == CHECK) {
        return Err(Skip(format!("{}", why["why"])).into());
    }
    let finding = told.one(CHECK)?;
    ensure!(finding["subject"] == "CPU 0", "{finding}");
    // Its first advice, as printed; its second: these programs are elsewhere now.
    let command = finding["remedies"][0]["now"][0].as_str().context("no command")?;
    ensure!(command.starts_with("renice -n -10 -p "), "{command}");
    shell(command)?;
    // An emulated CPU is taken from the guest now and then by what else its host does: then whoever has it has it for long.
    let mut told = flooded.examine(bench)?.none(CHECK);
    for _ in 1..TRIES {
        if told.is_err() {
            told = flooded.examine(bench)?.none(CHECK);
        }
    }
    shell(&command.replace("-n -10", "-n 0"))?;
    told
}
