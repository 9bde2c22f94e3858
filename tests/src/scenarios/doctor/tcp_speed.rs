//! TCP: buffers that keep a connection from being faster, over a path of 200 ms.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::PATIENCE;
use crate::doctor::{Told, apply, examined};
use crate::lab::{Lab, Namespace, RECEIVER, set_option, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

const CHECK: &str = "tcp-buffer-small";

pub fn table() -> Vec<Case> {
    systems([("doctor-tcp-receive-window", receive_window), ("doctor-tcp-send-buffer", send_buffer)])
}

/// What the sender sends takes so long. Reno goes on until a buffer is what limits it; CUBIC takes jitter for congestion, and would be slow for
/// itself (`HyStart`, `net/ipv4/tcp_cubic.c`).
fn far() -> Result<Lab> {
    let lab = Lab::pair()?;
    lab.from().feature("netem", "tc qdisc add dev s0 root netem delay 200ms limit 100000", "")?;
    lab.from().sysctl("net/ipv4/tcp_congestion_control", "reno")?;
    Ok(lab)
}

/// Data that is sent and read until this is dropped.
struct Transfer {
    client: TcpStream,
    taken: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Transfer {
    fn begin(lab: &Lab, paced_to: Option<u32>) -> Result<Self> {
        let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, 0))?))?;
        let client = lab.from().enter(|| Ok(TcpStream::connect(listener.local_addr()?)?))?;
        paced_to.map_or(Ok(()), |rate| pace(&client, rate))?;
        let (mut from, mut to) = (client.try_clone()?, listener.accept()?.0);
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        let sends = std::thread::spawn(move || {
            let data = vec![0; 65_536];
            while from.write_all(&data).is_ok() {}
        });
        let reads = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(got @ 1..) = to.read(&mut buffer) {
                counted.fetch_add(got as u64, Ordering::Relaxed);
            }
        });
        Ok(Self { client, taken, threads: vec![sends, reads] })
    }

    /// So much more has arrived.
    fn wait(&self, bytes: u64) -> Result<()> {
        let enough = self.taken.load(Ordering::Relaxed) + bytes;
        until("data to arrive", PATIENCE, || Ok((self.taken.load(Ordering::Relaxed) >= enough).then_some(())))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // It is open, and either thread ends by itself where it isn't.
        let _ = self.client.shutdown(Shutdown::Both);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// `SO_MAX_PACING_RATE` of socket(7): bytes a second, which TCP keeps by timers of its own.
fn pace(socket: &TcpStream, rate: u32) -> Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, &rate)
}

/// What the doctor of a namespace says while a transfer, which is under way before and after, takes so many bytes.
fn while_sending(
    bench: &Bench,
    lab: &Lab,
    of: &Namespace,
    paced_to: Option<u32>,
    bytes: u64,
) -> Result<Told> {
    let transfer = Transfer::begin(lab, paced_to)?;
    // At first it is slow.
    transfer.wait(bytes / 2)?;
    examined(bench, of, "tcp", || transfer.wait(bytes))
}

fn is_of(finding: &Value, local: &str, remote: &str) -> Result<()> {
    let subject = finding["subject"].as_str().unwrap_or_default();
    let is_it =
        subject.starts_with(&format!("connection {local}:")) && subject.contains(&format!("– {remote}:"));
    ensure!(is_it && subject.contains(" of netdrop-tests("), "{finding}");
    Ok(())
}

/// A receiver that can advertise no more than comes in 200 ms; with the printed sizes it can.
fn receive_window(bench: &Bench) -> Result<()> {
    let lab = far()?;
    // What the sender may have on its way is less than what is printed.
    lab.from().sysctl("net/ipv4/tcp_wmem", "4096 65536 524288")?;
    lab.receiver.sysctl("net/ipv4/tcp_rmem", "4096 65536 65536")?;
    let once = || while_sending(bench, &lab, &lab.receiver, None, 200_000);
    let told = once()?;
    let finding = told.one(CHECK)?;
    is_of(finding, "10.9.0.2", "10.9.0.1")?;
    ensure!(
        finding["sentence"].as_str().is_some_and(|text| text.contains("receive buffer of 65.5 kB")),
        "{finding}"
    );
    apply(finding)?;
    once()?.none(CHECK)
}

/// A sender that keeps a pace, and whose buffer holds less than that sends in 200 ms; with the printed sizes it waits for none.
/// Without a pace the kernel doesn't count it: the buffer's last data is sent before the process waits for room (`tcp_cwnd_validate`).
fn send_buffer(bench: &Bench) -> Result<()> {
    const RATE: u32 = 2_000_000;
    let lab = far()?;
    lab.from().sysctl("net/ipv4/tcp_wmem", "4096 131072 131072")?;
    // The check judges half a second at least.
    let told = while_sending(bench, &lab, lab.from(), Some(RATE), 1_200_000)?;
    let finding = told.one(CHECK)?;
    is_of(finding, "10.9.0.1", "10.9.0.2")?;
    ensure!(finding["sentence"].as_str().is_some_and(|text| text.contains("send buffer")), "{finding}");
    apply(finding)?;
    while_sending(bench, &lab, lab.from(), Some(RATE), 2_400_000)?.none(CHECK)
}
