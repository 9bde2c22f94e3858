//! Neighbours.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Result, ensure};

use crate::doctor::{Kept, apply, examined};
use crate::lab::Lab;
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([("doctor-neighbour-table", neighbour_table)])
}

/// More neighbours than the table holds; with the printed limits there is room.
fn neighbour_table(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-table-full";
    const FOLDER: &str = "net/ipv4/neigh/default";
    let _kept = Kept::of_guest(&[
        "net/ipv4/neigh/default/gc_thresh1",
        "net/ipv4/neigh/default/gc_thresh2",
        "net/ipv4/neigh/default/gc_thresh3",
    ])?;
    for (file, value) in [("gc_thresh1", "8"), ("gc_thresh2", "16"), ("gc_thresh3", "32")] {
        Kept::set(&format!("{FOLDER}/{file}"), value)?;
    }
    let lab = Lab::pair()?;
    let send = || {
        lab.from().enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            for host in 100..200 {
                // One that finds no place is refused.
                let _ = socket.send_to(b"hey", (Ipv4Addr::new(10, 9, 0, host), 9));
            }
            Ok(())
        })
    };
    let told = examined(bench, lab.from(), "neighbour", send)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "critical" && finding["netns"].is_null(), "{finding}");
    apply(finding)?;
    examined(bench, lab.from(), "neighbour", send)?.none(CHECK)
}
