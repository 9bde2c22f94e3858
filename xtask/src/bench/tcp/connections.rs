//! Short connections over loopback: a request, an answer, the end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::daemon::used;
use super::super::flood::Flood;
use super::super::running::Running;
use super::super::tool::Tool;
use super::time_of;

/// Connections as fast as they go.
const BURST: u64 = 3000;
/// Connections a second, and for how long.
const PACE: u64 = 1000;
const SECONDS: u64 = 2;
/// Bytes each way.
const MESSAGE: usize = 100;

/// What one round of one tool showed.
#[derive(Clone, Copy, Debug)]
pub struct Lived {
    /// How long its programs ran for a connection, both ends together, ns.
    pub programs_ns: f64,
    /// Time on a CPU of the tool itself for a connection at [`PACE`], µs.
    pub cpu_us: f64,
    /// The burst's rate, 1 without the tool.
    pub relative_rate: f64,
}

/// Measures a tool once. The untraced burst comes right before the traced one.
pub fn round(tool: &Tool, flood: &Flood, folder: &Path) -> Result<Lived> {
    let untraced = burst(flood)?;
    let running = Running::start_with(tool, flood, folder, poke)?;
    let traced = burst(flood)?;
    let connections = PACE * SECONDS;
    let before = used(running.id())?.run;
    paced(flood, connections)?;
    let cpu = used(running.id())?.run.saturating_sub(before);
    let runs = time_of(&running.programs()?, || burst(flood).map(drop))?;
    ensure!(runs.count >= BURST, "its programs ran {} times for {BURST} connections", runs.count);
    running.end()?;
    Ok(Lived {
        programs_ns: runs.nanoseconds as f64 / BURST as f64,
        cpu_us: cpu.as_secs_f64() * 1e6 / connections as f64,
        relative_rate: untraced.as_secs_f64() / traced.as_secs_f64(),
    })
}

/// A connection that a tool may see.
fn poke() -> Result<()> {
    Peer::new()?.connection()
}

/// The time that [`BURST`] connections take.
fn burst(flood: &Flood) -> Result<Duration> {
    let peer = Peer::new()?;
    flood.on_its_cpu(|| {
        let start = Instant::now();
        (0..BURST).try_for_each(|_| peer.connection())?;
        Ok(start.elapsed())
    })
}

/// So many connections, [`PACE`] a second.
fn paced(flood: &Flood, connections: u64) -> Result<()> {
    let peer = Peer::new()?;
    flood.on_its_cpu(|| {
        let start = Instant::now();
        for number in 0..connections {
            peer.connection()?;
            let due = Duration::from_secs_f64((number + 1) as f64 / PACE as f64);
            while start.elapsed() < due {
                std::hint::spin_loop();
            }
        }
        Ok(())
    })
}

/// Both ends. Each has a port of its own to connect to, so that sockets in `TIME_WAIT` leave enough ports to connect from.
struct Peer(TcpListener);

impl Peer {
    fn new() -> Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on 127.0.0.1").map(Self)
    }

    /// One connection, from the SYN to both FINs.
    fn connection(&self) -> Result<()> {
        let mut message = [0; MESSAGE];
        let mut client = TcpStream::connect(self.0.local_addr()?).context("cannot connect to 127.0.0.1")?;
        let (mut server, _) = self.0.accept().context("cannot accept on 127.0.0.1")?;
        client.write_all(&message)?;
        server.read_exact(&mut message)?;
        server.write_all(&message)?;
        client.read_exact(&mut message)?;
        drop(client);
        // The FIN.
        ensure!(server.read(&mut message)? == 0, "more came than was sent");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_comes_to_its_end() {
        let peer = Peer::new().unwrap();
        peer.connection().unwrap();
        peer.connection().unwrap();
    }
}
