//! What weeks do to a daemon, in short: namespaces, links and processes come and go while packets drop. Its memory stays, its
//! descriptors stay, its counts are exact. `NETDROP_SOAK_ROUNDS` makes it longer: 1800 rounds are an hour's million drops a minute.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use netdrop_tests::lab::{Lab, Namespace, until};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, System};

use crate::daemon::Daemon;

const ROUNDS: &str = "NETDROP_SOAK_ROUNDS";
const SHORT: u64 = 40;
/// Rounds until all that is made once is made.
const WARM_UP: u64 = 10;
/// Descriptors that may be open at one time and not at another: connections, a look into /proc. A leak is one a round.
const FEW: usize = 4;
const DROPS_A_ROUND: u64 = 33_000;
/// A port that nobody else sends to: other drops of this machine are filtered.
const PORT: u16 = 47_321;

pub fn cases() -> Vec<Case> {
    vec![Case::System(System::new("soak-namespaces-links-processes", soak))]
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
        Err(_) => SHORT,
    };
    let home = Lab::alone()?;
    let settings = format!("[capture]\ninterval = \"1s\"\n[capture.only]\nport = [\"{PORT}\"]\n");
    let daemon = Daemon::start(bench, &home.receiver, ([127, 0, 0, 1], 13767).into(), &settings)?;
    let mut warm = None;
    for round in 1..=rounds {
        churn()?;
        // As a scraper does, and as a reader of the page.
        counted(&daemon, round * DROPS_A_ROUND)?;
        ensure!(daemon.get("/api/v1/summary")?.status == 200, "no summary in round {round}");
        if round == WARM_UP.min(rounds / 2) {
            warm = Some(Held::by(&daemon)?);
        }
    }
    let warm = warm.context("two rounds at least")?;
    // The last connections are closed a moment after their answers.
    let closed = until("descriptors to be closed", std::time::Duration::from_secs(10), || {
        let held = Held::by(&daemon)?;
        Ok((held.descriptors <= warm.descriptors + FEW).then_some(held))
    });
    let end = closed.or_else(|_| Held::by(&daemon))?;
    println!("        after {WARM_UP} rounds {warm:?}, after {rounds} {end:?}");
    ensure!(end.resident * 10 <= warm.resident * 11, "its memory grew: {warm:?}, then {end:?}");
    ensure!(end.descriptors <= warm.descriptors + FEW, "its descriptors grew: {warm:?}, then {end:?}");
    daemon.stop().map(drop)
}

/// A namespace with links and sockets of its own is made, drops packets, and goes.
fn churn() -> Result<()> {
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
        for _ in 0..DROPS_A_ROUND {
            socket.send_to(b"soak", ("127.0.0.1", PORT))?;
        }
        Ok(())
    })
}

/// Waits until exactly so many drops are told.
#[expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "counts of packets are whole, and far from 2^52"
)]
fn counted(daemon: &Daemon, wanted: u64) -> Result<()> {
    let mut last = 0.0;
    until("the drops to be told", std::time::Duration::from_secs(10), || {
        last = daemon.metric("netdrop_drops_total", &[])?;
        Ok((last == wanted as f64).then_some(()))
    })
    .with_context(|| format!("{last} drops are told, {wanted} happened"))
}
