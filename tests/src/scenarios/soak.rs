//! What weeks do to a daemon, in short: namespaces, links, processes and, in a guest, modules come and go while packets drop. Its
//! memory stays, its descriptors stay, its counts are exact. `NETDROP_SOAK_ROUNDS` makes it longer: 1800 rounds are an
//! hour's million drops a minute.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::lasting::{Served, told};
use super::tun::refused_address;
use crate::daemon::Daemon;
use crate::lab::guest::{Module, is_guest};
use crate::lab::{Lab, Namespace, until};
use crate::runner::Bench;
use crate::scenario::System;

const ROUNDS: &str = "NETDROP_SOAK_ROUNDS";
const SHORT: u64 = 40;
/// Guests are slow, and there is one for each kernel.
const SHORT_IN_GUEST: u64 = 16;
/// Rounds until all that is made once is made.
const WARM_UP: u64 = 10;
/// Descriptors that may be open at one time and not at another: connections, a look into /proc. A leak is one a round.
const FEW: usize = 4;
/// A port that nobody else sends to: other drops of this machine are filtered. What modules drop in guests goes to 9.
const PORT: u16 = 47_321;
/// What a round's module drops.
const IN_MODULE: u64 = 5;
/// Modules that make links of their name.
const OF_LINKS: [&str; 2] = ["dummy", "ifb"];

pub fn table() -> Vec<System> {
    vec![System::new("soak-all-comes-and-goes", soak)]
}

/// What must not grow.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// `VmRSS`, kB.
    resident: u64,
    descriptors: usize,
}

impl Held {
    fn by(daemon: &Daemon) -> Result<Self> {
        Ok(Self { resident: daemon.status("VmRSS")?, descriptors: daemon.descriptors()? })
    }
}

fn soak(bench: &Bench) -> Result<()> {
    let rounds = match std::env::var(ROUNDS) {
        Ok(text) => text.parse().with_context(|| format!("{ROUNDS}={text} is no number"))?,
        Err(_) if is_guest() => SHORT_IN_GUEST,
        Err(_) => SHORT,
    };
    // 33,333 natively: a million a minute, as two seconds are a round of an hour.
    let drops = bench.flood / 30;
    let home = Lab::alone()?;
    let ports = if is_guest() { format!("\"{PORT}\", \"9\"") } else { format!("\"{PORT}\"") };
    let settings = format!("[capture]\ninterval = \"1s\"\n[capture.only]\nport = [{ports}]\n");
    let served = Served::start(bench, &home.receiver, &settings)?;
    let daemon = &served.daemon;
    // Huge pages come when the kernel has the time for it, and look like growth.
    ensure!(daemon.status("THP_enabled")? == 0, "the kernel may make huge pages of the daemon's memory");
    let (mut warm, mut wanted) = (None, 0);
    for round in 1..=rounds {
        churn(drops)?;
        wanted += drops;
        if is_guest() {
            wanted += modules(round)?;
        }
        // As a scraper does, and as a reader of the page.
        told(daemon, "netdrop_drops_total", &[], wanted).with_context(|| format!("in round {round}"))?;
        ensure!(daemon.get("/api/v1/summary")?.status == 200, "no summary in round {round}");
        if round == WARM_UP.min(rounds / 2) {
            warm = Some(Held::by(daemon)?);
        }
    }
    let warm = warm.context("two rounds at least")?;
    if is_guest() {
        // Whatever lay where the module lies now.
        told(daemon, "netdrop_drops_total", &["function=\"tun_net_xmit\""], rounds * IN_MODULE)?;
    }
    // The last connections are closed a moment after their answers.
    let closed = until("descriptors to be closed", Duration::from_secs(10), || {
        let held = Held::by(daemon)?;
        Ok((held.descriptors <= warm.descriptors + FEW).then_some(held))
    });
    let end = closed.or_else(|_| Held::by(daemon))?;
    println!("        warm {warm:?}, after {rounds} rounds and {wanted} drops {end:?}");
    ensure!(end.resident * 10 <= warm.resident * 11, "its memory grew: {warm:?}, then {end:?}");
    ensure!(end.descriptors <= warm.descriptors + FEW, "its descriptors grew: {warm:?}, then {end:?}");
    served.stop().map(drop)
}

/// A namespace with links and sockets of its own is made, drops packets, and goes.
fn churn(drops: u64) -> Result<()> {
    let namespace = Namespace::create("churn")?;
    namespace.feature(
        "veth",
        "ip -batch -",
        "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n",
    )?;
    let status = namespace.command("true").status().context("can't run a process")?;
    ensure!(status.success(), "true ended with {status}");
    namespace.enter(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..drops {
            socket.send_to(b"soak", ("127.0.0.1", PORT))?;
        }
        Ok(())
    })
}

/// One module is loaded anew and makes a link; another one is, and drops packets: so many.
fn modules(round: u64) -> Result<u64> {
    let name = OF_LINKS[usize::try_from(round)? % OF_LINKS.len()];
    let tun = Module::of_guest("tun")?;
    tun.unload()?;
    // It is loaded again between the other's end and its beginning: so that each may come to lie elsewhere.
    if let Ok(module) = Module::of_guest(name) {
        module.unload()?;
        tun.load()?;
        module.load()?;
        let namespace = Namespace::create("links")?;
        namespace.feature(name, "ip -batch -", &format!("link add m0 type {name}\nlink set m0 up\n"))?;
    }
    tun.load()?;
    refused_address(IN_MODULE)?.send()?;
    Ok(IN_MODULE)
}
