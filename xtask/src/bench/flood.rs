//! Drops to measure: UDP to a closed loopback port, a bounded number, sent on one CPU.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// So many small packets fill a receive buffer of the usual size.
const FILLING: u64 = 1000;

/// One CPU for the flood, the others for whoever watches it.
pub struct Flood {
    cpu: usize,
    alone: bool,
    socket: UdpSocket,
    to: SocketAddr,
}

impl Flood {
    /// Takes the last CPU for the flood. This thread, and all that it starts from now on, keeps to the others.
    pub fn new() -> Result<Self> {
        let this = Pid::from_raw(0);
        let mut others = sched_getaffinity(this).context("cannot ask for the CPUs of this process")?;
        let all: Vec<usize> = (0..CpuSet::count()).filter(|cpu| others.is_set(*cpu) == Ok(true)).collect();
        let (Some(&cpu), alone) = (all.last(), all.len() > 1) else { bail!("no CPU to run on") };
        if alone {
            others.unset(cpu)?;
            sched_setaffinity(this, &others).context("cannot leave a CPU to the flood")?;
        }
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let bind = || UdpSocket::bind(loopback(0)).context("cannot open a UDP socket on 127.0.0.1");
        // The socket that held this port is closed when the first packet is sent.
        let to = bind()?.local_addr()?;
        Ok(Self { cpu, alone, socket: bind()?, to })
    }

    /// Sends `packets`, each of which the kernel drops before the next is sent; returns the time that took.
    pub fn send(&self, packets: u64) -> Result<Duration> {
        self.on_its_cpu(|| {
            let start = Instant::now();
            (0..packets).try_for_each(|_| self.send_one())?;
            Ok(start.elapsed())
        })
    }

    /// Sends `packets` to a socket that nobody reads, `rate` a second: all are dropped, as it is filled before.
    pub fn send_unread(&self, packets: u64, rate: u64) -> Result<Duration> {
        let unread =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a UDP socket on 127.0.0.1")?;
        let to = unread.local_addr()?;
        let send_one = || self.socket.send_to(&[0; 64], to).context("cannot send to 127.0.0.1").map(drop);
        self.on_its_cpu(|| {
            // Until its buffer is full.
            (0..FILLING).try_for_each(|_| send_one())?;
            let start = Instant::now();
            let mut sent = 0;
            while sent < packets {
                let due = start.elapsed().as_secs_f64() * rate as f64;
                while sent < packets && (sent as f64) < due {
                    send_one()?;
                    sent += 1;
                }
                std::hint::spin_loop();
            }
            Ok(start.elapsed())
        })
    }

    /// Sends one packet, on whatever CPU this runs.
    pub fn send_one(&self) -> Result<()> {
        self.socket.send_to(&[0; 64], self.to).context("cannot send to 127.0.0.1").map(drop)
    }

    /// Runs `work` on the flood's CPU, out of the watchers' way.
    pub fn on_its_cpu<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let pinned = || {
            let mut own = CpuSet::new();
            own.set(self.cpu)?;
            sched_setaffinity(Pid::from_raw(0), &own).context("cannot pin the flood to its CPU")?;
            work()
        };
        thread::scope(|scope| scope.spawn(pinned).join()).expect("the flood does not panic")
    }

    /// Where it runs, in words.
    pub fn place(&self) -> String {
        if self.alone {
            format!("the flood has CPU {} for itself", self.cpu)
        } else {
            "THE FLOOD AND ITS WATCHERS SHARE THE ONLY CPU".to_owned()
        }
    }
}
