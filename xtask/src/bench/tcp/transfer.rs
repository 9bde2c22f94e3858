//! One connection over loopback that carries as much as it can, as iperf3's does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::flood::Flood;
use super::super::running::Running;
use super::super::tool::Tool;
use super::time_of;

/// Bytes of each write and read: iperf3's default for TCP.
const BLOCK: usize = 128 << 10;
/// Until windows are open and caches warm.
const WARM_UP: Duration = Duration::from_millis(200);
/// What is measured.
const MEASURED: Duration = Duration::from_millis(600);
/// For the programs' own times, which the kernel doesn't take for nothing.
const TIMED: Duration = Duration::from_millis(200);

/// The same transfer without and with the tool, right after one another.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Bytes a second.
    pub untraced: f64,
    /// Bytes a second.
    pub traced: f64,
    /// How long its programs ran for a call, ns.
    pub call_ns: f64,
}

impl Pair {
    /// What it cost of the throughput, in per cent; negative where the transfer was faster with it.
    pub fn lost(&self) -> f64 {
        (1.0 - self.traced / self.untraced) * 100.0
    }
}

/// Measures both; which comes first changes from round to round, so that a drift of the machine's favours neither.
pub fn pair(tool: &Tool, flood: &Flood, folder: &Path, round: u16) -> Result<Pair> {
    let is_first = round.is_multiple_of(2);
    let before = is_first.then(|| throughput(flood, MEASURED)).transpose()?;
    let running = Running::start(tool, flood, folder)?;
    let traced = throughput(flood, MEASURED)?;
    let runs = time_of(&running.programs()?, || throughput(flood, TIMED).map(drop))?;
    ensure!(runs.count > 0, "none of its programs ran while a transfer did");
    running.end()?;
    let untraced = before.map_or_else(|| throughput(flood, MEASURED), Ok)?;
    Ok(Pair { untraced, traced, call_ns: runs.average() })
}

/// Bytes a second that arrive, as long as `time`. The sender has the flood's CPU, on which loopback's receiving side runs as well;
/// the reader shares the other with the tool.
fn throughput(flood: &Flood, time: Duration) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on 127.0.0.1")?;
    let to = listener.local_addr()?;
    let sender = TcpStream::connect(to).context("cannot connect to 127.0.0.1")?;
    let (receiver, _) = listener.accept().context("cannot accept on 127.0.0.1")?;
    thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(receiver, time));
        flood.on_its_cpu(|| {
            send(sender);
            Ok(())
        })?;
        receiving.join().expect("the reader does not panic")
    })
}

/// Writes until nobody reads any more.
fn send(mut to: TcpStream) {
    let block = vec![0_u8; BLOCK];
    while to.write_all(&block).is_ok() {}
}

fn receive(mut from: TcpStream, time: Duration) -> Result<f64> {
    let mut block = vec![0_u8; BLOCK];
    let mut read = || -> Result<usize> {
        let bytes = from.read(&mut block).context("cannot read what was sent")?;
        ensure!(bytes > 0, "the sender ended");
        Ok(bytes)
    };
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        read()?;
    }
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < time {
        bytes += read()?;
    }
    let rate = bytes as f64 / start.elapsed().as_secs_f64();
    // What is still unread makes this a reset, and the sender's next write fails.
    let _ = from.shutdown(Shutdown::Both);
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_a_part_of_the_throughput_without_it() {
        let pair = Pair { untraced: 200.0, traced: 194.0, call_ns: 0.0 };
        assert!((pair.lost() - 3.0).abs() < 1e-9);
        assert!(Pair { traced: 201.0, ..pair }.lost() < 0.0);
    }
}
