//! Neighbours.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::PATIENCE;
use crate::doctor::{Kept, apply, examined};
use crate::lab::{Lab, Namespace, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-neighbour-table", neighbour_table),
        ("doctor-neighbour-forced-gc", forced_gc),
        ("doctor-neighbour-unresolved", unresolved),
        ("doctor-neighbour-failed", failed),
    ])
}

/// A family's name in settings, how it is called, and its addresses up to the host's number.
const FAMILIES: [(&str, &str, &str); 2] = [("ipv4", "IPv4", "10.9.0."), ("ipv6", "IPv6", "fd09::")];
const THRESHOLDS: [&str; 6] = [
    "net/ipv4/neigh/default/gc_thresh1",
    "net/ipv4/neigh/default/gc_thresh2",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv6/neigh/default/gc_thresh1",
    "net/ipv6/neigh/default/gc_thresh2",
    "net/ipv6/neigh/default/gc_thresh3",
];

fn set_thresholds(family: &str, values: [&str; 3]) -> Result<()> {
    for (number, value) in (1..).zip(values) {
        Kept::set(&format!("net/{family}/neigh/default/gc_thresh{number}"), value)?;
    }
    Ok(())
}

/// So many datagrams to each of these hosts, none of which is there.
fn send(from: &Namespace, prefix: &str, hosts: std::ops::Range<u32>, each: usize) -> Result<()> {
    from.enter(|| {
        let any = if prefix.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any)?;
        for host in hosts {
            let address: IpAddr = format!("{prefix}{host}").parse()?;
            for _ in 0..each {
                // One whose next hop finds no place is refused.
                let _ = socket.send_to(&[0; 1000], (address, 9));
            }
        }
        Ok(())
    })
}

/// More neighbours than the table holds; with the printed limits there is room.
fn neighbour_table(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-table-full";
    let _kept = Kept::of_guest(&THRESHOLDS)?;
    for (family, called, prefix) in FAMILIES {
        let lab = Lab::pair_v6()?;
        set_thresholds(family, ["8", "16", "32"])?;
        let work = || send(lab.from(), prefix, 100..200, 1);
        let told = examined(bench, lab.from(), "neighbour", work)?;
        let finding = told.one(CHECK)?;
        ensure!(finding["severity"] == "critical" && finding["netns"].is_null(), "{finding}");
        ensure!(finding["subject"] == format!("{called}'s table of neighbours"), "{finding}");
        apply(finding)?;
        examined(bench, lab.from(), "neighbour", work)?.none(CHECK)?;
    }
    Ok(())
}

/// Above the second threshold new neighbours wait while old ones are looked for; with the printed limits they don't.
fn forced_gc(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-forced-gc";
    /// The kernel collects once in so long at most (`neigh_alloc`).
    const BETWEEN: Duration = Duration::from_millis(5200);
    let _kept = Kept::of_guest(&THRESHOLDS)?;
    let lab = Lab::pair()?;
    set_thresholds("ipv4", ["8", "16", "1024"])?;
    std::thread::sleep(BETWEEN);
    let told = examined(bench, lab.from(), "neighbour", || send(lab.from(), "10.9.0.", 20..60, 1))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "info", "{finding}");
    apply(finding)?;
    std::thread::sleep(BETWEEN);
    examined(bench, lab.from(), "neighbour", || send(lab.from(), "10.9.0.", 60..100, 1))?.none(CHECK)
}

/// The device's questions: one, so many milliseconds long.
fn ask_once(from: &Namespace, family: &str, wait_ms: &str) -> Result<()> {
    for (key, value) in [("mcast_solicit", "1"), ("retrans_time_ms", wait_ms)] {
        from.sysctl(&format!("net/{family}/neigh/s0/{key}"), value)?;
    }
    Ok(())
}

/// A burst to a next hop whose answer doesn't come: the device is named, and the printed setting lets the same burst wait.
fn unresolved(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-unresolved";
    const BURST: u64 = 40;
    let lab = Lab::pair_v6()?;
    for (family, called, prefix) in FAMILIES {
        ask_once(lab.from(), family, "60000")?;
        // Room for one or two packets.
        lab.from().sysctl(&format!("net/{family}/neigh/s0/unres_qlen_bytes"), "4096")?;
        let told = examined(bench, lab.from(), "neighbour", || send(lab.from(), prefix, 97..98, 40))?;
        let finding = told.one(CHECK)?;
        // Families are told apart by the host's own counters: others may move them meanwhile.
        let subject = finding["subject"].as_str().unwrap_or_default();
        ensure!(subject == format!("{called} next hops by s0") || subject == "next hops by s0", "{finding}");
        ensure!(finding["netns"] == lab.from().name(), "{finding}");
        let evidence = finding["evidence"].as_array().context("no evidence")?;
        let counted: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
        ensure!((BURST - 5..BURST).contains(&counted), "{counted} of {BURST}: {finding}");
        let sentence = finding["sentence"].as_str().unwrap_or_default();
        ensure!(sentence.starts_with(&format!("{counted} packets")), "{sentence}");
        apply(finding)?;
        // A next hop that was told nothing yet.
        examined(bench, lab.from(), "neighbour", || send(lab.from(), prefix, 98..99, 40))?.none(CHECK)?;
    }
    Ok(())
}

/// A host that is away: it is named. Once it is there, the same packets arrive.
fn failed(bench: &Bench) -> Result<()> {
    const CHECK: &str = "neighbour-failed";
    let lab = Lab::pair_v6()?;
    for ((family, _, prefix), bits) in FAMILIES.into_iter().zip([24, 64]) {
        ask_once(lab.from(), family, "100")?;
        let address = format!("{prefix}99");
        let is = |state: &str| -> Result<bool> {
            let output =
                lab.from().command("ip").args(["neigh", "show", "to", &address, "nud", state]).output()?;
            Ok(!output.stdout.is_empty())
        };
        let told = examined(bench, lab.from(), "neighbour", || {
            send(lab.from(), prefix, 99..100, 10)?;
            until("the question to be given up", PATIENCE, || Ok(is("failed")?.then_some(())))
        })?;
        let finding = told.one(CHECK)?;
        ensure!(finding["subject"] == format!("next hop {address} on s0"), "{finding}");
        let sentence = finding["sentence"].as_str().unwrap_or_default();
        ensure!(sentence.starts_with("10 packets") && finding["severity"] == "warning", "{finding}");
        // Its advice: bring the host back.
        lab.receiver
            .ip(&[&format!("addr add {address}/{bits} dev r0{}", if bits == 64 { " nodad" } else { "" })])?;
        let told = examined(bench, lab.from(), "neighbour", || {
            send(lab.from(), prefix, 99..100, 10)?;
            until("an answer", PATIENCE, || Ok((!is("incomplete")? && !is("failed")?).then_some(())))
        })?;
        told.none(CHECK)?;
        // The one that is there now shall not be among the silent.
        lab.receiver.ip(&[&format!("addr del {address}/{bits} dev r0")])?;
        lab.from().ip(&[&format!("neigh flush to {address}")])?;
    }
    Ok(())
}
