//! Silence, time, privileges, and causes beside one another.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::PATIENCE;
use super::tcp::{connect, listener};
use super::udp::overfill;
use crate::doctor::{Doctor, Told, examined};
use crate::lab::{Lab, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-silence", silence),
        ("doctor-without-privileges", without_privileges),
        ("doctor-wall-time", wall_time),
        ("doctor-two-causes", two_causes),
    ])
}

/// A namespace in which datagrams are received and connections accepted: nothing is wrong, and nothing is said.
fn silence(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let told = examined(bench, &lab.receiver, "udp,tcp,conntrack", || {
        lab.receiver.enter(|| {
            let server = TcpListener::bind("127.0.0.1:0")?;
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..200 {
                let _client = TcpStream::connect(server.local_addr()?)?;
                server.accept()?;
                sender.send_to(&[0; 1000], receiver.local_addr()?)?;
                receiver.recv_from(&mut [0; 1000])?;
            }
            Ok(())
        })
    })?;
    ensure!(told.findings.is_empty(), "{:?}", told.findings);
    ensure!(told.summary["checked"].as_u64() > Some(2), "{}", told.summary);
    ensure!(told.summary["drops"].is_u64(), "drops aren't counted: {}", told.summary);
    Ok(())
}

/// Nobody's capabilities: counters alone, and it says so.
fn without_privileges(bench: &Bench) -> Result<()> {
    const NOBODY: u32 = 65534;
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(&bench.netdrop);
    command.uid(NOBODY).gid(NOBODY);
    let told = Doctor::start_as(command, &["--only", "softirq,udp,tcp"])?.end(bench)?;
    let why = told.summary["without_drops"].as_str().context("it says nothing of drops")?;
    ensure!(why.contains("CAP_BPF"), "{why}");
    ensure!(told.summary["checked"].as_u64() >= Some(5), "{} {:?}", told.summary, told.unchecked);
    Ok(())
}

/// The window and 150 ms; a debug build and a machine that emulates take longer.
fn wall_time(bench: &Bench) -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(1);
    let start = Instant::now();
    let arguments = ["doctor", "--format", "json", "--window", "1s"];
    let output = Command::new(&bench.netdrop).args(arguments).output()?;
    let took = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Told::read(bench, &String::from_utf8(output.stdout)?)?;
    ensure!(took >= WINDOW, "it ended after {took:?}");
    println!("doctor: the window and {} ms", took.saturating_sub(WINDOW).as_millis());
    Ok(())
}

/// Both are found in one window, the worse first, each with its own socket.
fn two_causes(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let unread = lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let (_listener, address) = listener(&lab.receiver, 4)?;
    let overflows = || lab.receiver.counter("TcpExt", "ListenOverflows");
    let told = examined(bench, &lab.receiver, "udp,tcp", || {
        overfill(&lab.receiver, unread.local_addr()?, 5000)?;
        let _clients = connect(&lab.receiver, address, 40)?;
        until("connections to be refused a place", PATIENCE, || Ok((overflows()? >= 20).then_some(())))
    })?;
    let checks: Vec<_> = told.findings.iter().filter_map(|finding| finding["check"].as_str()).collect();
    ensure!(checks == ["udp-receive-queue-full", "tcp-listen-overflow"], "{checks:?}");
    let of_tcp = told.one("tcp-listen-overflow")?;
    ensure!(of_tcp["certainty"] == "certain", "4 is less than somaxconn: {of_tcp}");
    ensure!(
        of_tcp["remedies"][0]["what"].as_str().is_some_and(|what| what.contains("backlog of")),
        "{of_tcp}"
    );
    Ok(())
}
