//! Connection tracking.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nfq::{Queue, Verdict};
use serde_json::Value;

use super::PATIENCE;
use super::udp_refused::rise;
use crate::doctor::{Kept, apply, examined};
use crate::lab::{Lab, RECEIVER, Skip, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-conntrack-full", conntrack_full),
        ("doctor-conntrack-early-drop", early_drop),
        ("doctor-conntrack-hash-load", hash_load),
        ("doctor-conntrack-lost-race", lost_race),
        ("doctor-conntrack-insert-failed", insert_failed),
    ])
}

const MOST: &str = "net/netfilter/nf_conntrack_max";
const BUCKETS: &str = "net/netfilter/nf_conntrack_buckets";

/// A namespace that tracks what it sends.
fn tracking() -> Result<Lab> {
    const RULES: &str = "add table ip t\nadd chain ip t c { type filter hook output priority 0; }\nadd rule ip t c ct state new accept\n";
    let lab = Lab::alone()?;
    lab.receiver.feature("connection tracking by nftables", "nft -f -", RULES)?;
    Ok(lab)
}

/// One datagram from one socket to each of so many addresses of the loopback, from 127.`first`.0.0 on: each is a connection of its own, and
/// nobody answers.
fn open(lab: &Lab, first: u8, count: u32) -> Result<()> {
    lab.receiver.enter(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let start = u32::from(Ipv4Addr::new(127, first, 0, 1));
        for address in start..start + count {
            // One that can't be tracked is refused; so is the one after an answer that nobody listens.
            let _ = socket.send_to(b"hey", (Ipv4Addr::from(address), 9));
        }
        Ok(())
    })
}

/// More connections than may be tracked: who opened them is told, the drops are explained, and with the printed limit there is room.
fn conntrack_full(bench: &Bench) -> Result<()> {
    const CHECK: &str = "conntrack-table-full";
    let lab = tracking()?;
    let _kept = Kept::of_guest(&[MOST, BUCKETS])?;
    Kept::set(MOST, "64")?;
    let told = examined(bench, &lab.receiver, "conntrack", || open(&lab, 1, 200))?;
    let finding = told.one(CHECK)?;
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    ensure!(
        evidence[0]["counter"] == "conntrack drop" && evidence[0]["rate"].as_f64() > Some(0.0),
        "{finding}"
    );
    let explains = finding["explains"].as_array().context("it explains nothing")?;
    ensure!(explains.iter().any(|name| name == "NETFILTER_DROP"), "{finding}");
    if Path::new("/proc/net/nf_conntrack").exists() {
        let value = |name: &str| {
            let of = evidence.iter().find(|one| one["name"] == name);
            of.and_then(|one| one["value"].as_str()).unwrap_or_default()
        };
        ensure!(value("opened by").starts_with("127.0.0.1 "), "{finding}");
        ensure!(value("states").starts_with("udp unreplied "), "{finding}");
    }
    apply(finding)?;
    examined(bench, &lab.receiver, "conntrack", || open(&lab, 2, 200))?.none(CHECK)
}

/// Connections that nobody answered are forgotten for others, as a small hash table has them all at hand (`early_drop`).
fn early_drop(bench: &Bench) -> Result<()> {
    const CHECK: &str = "conntrack-table-full";
    let lab = tracking()?;
    let _kept = Kept::of_guest(&[MOST, BUCKETS])?;
    // The kernel makes it a page at least: 512 chains.
    Kept::set(BUCKETS, "512")?;
    Kept::set(MOST, "400")?;
    let told = examined(bench, &lab.receiver, "conntrack", || open(&lab, 1, 1000))?;
    let finding = told.one(CHECK)?;
    let sentence = finding["sentence"].as_str().unwrap_or_default();
    ensure!(sentence.contains("forgotten to make room"), "{finding}");
    ensure!(finding["severity"] == "warning", "{finding}");
    apply(finding)?;
    examined(bench, &lab.receiver, "conntrack", || open(&lab, 2, 1000))?.none(CHECK)
}

/// Chains of the hash table that are too long: with the printed size they are short.
fn hash_load(bench: &Bench) -> Result<()> {
    const CHECK: &str = "conntrack-hash-load";
    let lab = tracking()?;
    let _kept = Kept::of_guest(&[MOST, BUCKETS])?;
    let columns = std::fs::read_to_string("/proc/net/stat/nf_conntrack")?;
    if !columns.contains("chainlength") {
        return Err(Skip("this kernel lets chains grow (before 5.15)".into()).into());
    }
    Kept::set(BUCKETS, "512")?;
    Kept::set(MOST, "100000")?;
    // Each is in two chains: 78 in each of 512 on average, and 50 to 80 may be.
    let told = examined(bench, &lab.receiver, "conntrack", || open(&lab, 1, 20_000))?;
    let finding = told.one(CHECK)?;
    ensure!(finding["evidence"][0]["counter"] == "conntrack chainlength", "{finding}");
    ensure!(finding["severity"] == "critical" || finding["severity"] == "warning", "{finding}");
    apply(finding)?;
    examined(bench, &lab.receiver, "conntrack", || open(&lab, 2, 20_000))?.none(CHECK)
}

const INSERT_FAILED: &str = "conntrack-insert-failed";

/// Source NAT of the sender's datagrams, in nft's words, and what else is in its table.
fn translate(lab: &Lab, how: &str, more: &str) -> Result<()> {
    let rules = format!(
        "add table ip t\nflush table ip t\nadd chain ip t c {{ type nat hook postrouting priority 100; }}\nadd rule ip t c ip protocol udp {how}\n{more}"
    );
    lab.from().feature("such source NAT by nftables", "nft -f -", &rules)
}

/// The finding tells of so many packets.
fn is_of(finding: &Value, lost: u64) -> Result<()> {
    let failed = &finding["evidence"][0];
    ensure!(failed["counter"] == "conntrack insert_failed" && rise(failed) == Some(lost), "{finding}");
    let advice = finding["remedies"][0]["what"].as_str().unwrap_or_default();
    ensure!(advice.contains("`masquerade fully-random`"), "{finding}");
    Ok(())
}

/// Connections from one port of three addresses are given the same by source NAT, as each is held (nft's `queue`) until all have been
/// translated: the first is entered, the others are lost. With ports at random, each has its own.
fn lost_race(bench: &Bench) -> Result<()> {
    const HELD: &str = "add chain ip t h { type filter hook postrouting priority 150; }\nadd rule ip t h ip protocol udp queue num 0\n";
    let lab = Lab::pair()?;
    let _server = lab.receiver.enter(|| Ok(UdpSocket::bind((RECEIVER.v4, 9))?))?;
    lab.from().ip(&["addr add 10.9.0.3/24 dev s0", "addr add 10.9.0.4/24 dev s0"])?;
    let race = || {
        lab.from().enter(|| {
            let mut queue = Queue::open().context("nfnetlink_queue")?;
            queue.bind(0)?;
            queue.set_nonblocking(true);
            let mut held = Vec::new();
            for address in [1, 3, 4] {
                let socket = UdpSocket::bind((Ipv4Addr::new(10, 9, 0, address), 4000))?;
                socket.send_to(b"hey", (RECEIVER.v4, 9))?;
                held.push(until("a packet to be held", PATIENCE, || Ok(queue.recv().ok()))?);
            }
            for mut packet in held {
                packet.set_verdict(Verdict::Accept);
                queue.verdict(packet)?;
            }
            Ok(())
        })
    };
    translate(&lab, "masquerade", HELD)?;
    let told = examined(bench, lab.from(), "conntrack", race)?;
    is_of(told.one(INSERT_FAILED)?, 2)?;
    translate(&lab, "masquerade fully-random", HELD)?;
    examined(bench, lab.from(), "conntrack", race)?.none(INSERT_FAILED)
}

/// Source NAT may give one port, and towards one destination a second connection finds it taken; with all ports to choose from there is room.
fn insert_failed(bench: &Bench) -> Result<()> {
    const CONNECTIONS: u64 = 21;
    let lab = Lab::pair()?;
    let _server = lab.receiver.enter(|| Ok(UdpSocket::bind((RECEIVER.v4, 9))?))?;
    let open = || {
        lab.from().enter(|| {
            let sockets = (0..CONNECTIONS).map(|_| UdpSocket::bind("0.0.0.0:0"));
            for socket in sockets.collect::<Result<Vec<_>, _>>()? {
                // One that is dropped is refused.
                let _ = socket.send_to(b"hey", (RECEIVER.v4, 9));
            }
            Ok(())
        })
    };
    translate(&lab, "snat to 10.9.0.1:4000", "")?;
    let told = examined(bench, lab.from(), "conntrack", open)?;
    let finding = told.one(INSERT_FAILED)?;
    is_of(finding, CONNECTIONS - 1)?;
    let explains = finding["explains"].as_array().context("it explains nothing")?;
    ensure!(explains.iter().any(|name| name == "NETFILTER_DROP"), "{finding}");
    translate(&lab, "masquerade fully-random", "")?;
    examined(bench, lab.from(), "conntrack", open)?.none(INSERT_FAILED)
}
