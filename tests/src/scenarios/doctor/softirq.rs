//! The software interrupt and its backlog.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::Result;

use crate::doctor::{Doctor, Kept, Told, apply};
use crate::lab::{Lab, Skip};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-backlog", backlog)])
}

/// A backlog that is short for a burst; with the printed length it carries the same burst.
fn backlog(bench: &Bench) -> Result<()> {
    const CHECK: &str = "softirq-backlog-full";
    let _kept = Kept::of_guest(&["net/core/netdev_max_backlog"])?;
    Kept::set("net/core/netdev_max_backlog", "2")?;
    let lab = Lab::pair()?;
    // One packet for a group becomes as many as it has members in the backlog at once: sent with the software interrupt held up.
    let flood = || {
        lab.from().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            let payload = vec![0; 60_000];
            for _ in 0..50 {
                // Forty fragments each, queued one after the other.
                let _ = socket.send_to(&payload, (Ipv4Addr::new(10, 9, 0, 2), 9));
            }
            Ok(())
        })
    };
    let examine = || -> Result<Told> {
        let doctor = Doctor::start(bench, &["--only", "softirq"])?;
        flood()?;
        doctor.end(bench)
    };
    let told = examine()?;
    let Ok(finding) = told.one(CHECK) else {
        return Err(Skip("this machine's software interrupt is never behind".into()).into());
    };
    apply(finding)?;
    examine()?.none(CHECK)
}
