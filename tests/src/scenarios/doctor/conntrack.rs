//! Connection tracking.

use std::net::UdpSocket;

use anyhow::{Result, ensure};

use crate::doctor::{Kept, apply, examined};
use crate::lab::Lab;
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-conntrack-full", conntrack_full)])
}

/// More connections than may be tracked; with the printed limit there is room.
fn conntrack_full(bench: &Bench) -> Result<()> {
    const CHECK: &str = "conntrack-table-full";
    const RULES: &str = "add table ip t\nadd chain ip t c { type filter hook output priority 0; }\nadd rule ip t c ct state new accept\n";
    let _kept = Kept::of_guest(&["net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets"])?;
    let lab = Lab::alone()?;
    lab.receiver.feature("connection tracking by nftables", "nft -f -", RULES)?;
    Kept::set("net/netfilter/nf_conntrack_max", "64")?;
    let send = || {
        lab.receiver.enter(|| {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            for _ in 0..200 {
                // Each has a port of its own, and so a connection.
                let _ = UdpSocket::bind("127.0.0.1:0")?.send_to(b"hey", receiver.local_addr()?);
            }
            Ok(())
        })
    };
    let told = examined(bench, &lab.receiver, "conntrack", send)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["evidence"][0]["rate"].as_f64() > Some(0.0), "{finding}");
    apply(finding)?;
    let told = examined(bench, &lab.receiver, "conntrack", send)?;
    told.none(CHECK)
}
