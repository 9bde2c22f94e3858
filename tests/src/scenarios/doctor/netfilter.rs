//! Rules of firewalls.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::doctor::{apply, examined};
use crate::lab::Lab;
use crate::runner::Bench;
use crate::scenario::{Case, systems};

const COUNT: u64 = 50;
const RULE: &str = "netfilter-rule-drops";
const UNCOUNTED: &str = "netfilter-drops-uncounted";

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-nft-rule", nft_rule),
        ("doctor-nft-policy", nft_policy),
        ("doctor-iptables-rule", iptables_rule),
        ("doctor-iptables-policy", iptables_policy),
    ])
}

/// A receiver on the loopback, with its port.
struct Target {
    lab: Lab,
    socket: UdpSocket,
}

impl Target {
    fn new() -> Result<Self> {
        let lab = Lab::alone()?;
        let socket = lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
        Ok(Self { lab, socket })
    }

    fn port(&self) -> Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    fn send(&self) -> Result<()> {
        let sender = self.lab.receiver.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
        for _ in 0..COUNT {
            sender.send_to(b"hey", self.socket.local_addr()?)?;
        }
        Ok(())
    }

    /// Found, mended by the printed commands, and found no more; the finding.
    fn mend(&self, bench: &Bench, check: &str) -> Result<Value> {
        let told = examined(bench, &self.lab.receiver, "netfilter", || self.send())?;
        let finding = told.one(check)?.clone();
        let evidence = finding["evidence"].as_array().context("no evidence")?;
        let counted: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
        ensure!(counted == COUNT, "netdrop counted {counted} of {COUNT}: {finding}");
        apply(&finding)?;
        let told = examined(bench, &self.lab.receiver, "netfilter", || self.send())?;
        told.none(RULE)?;
        told.none(UNCOUNTED)?;
        self.socket.set_nonblocking(true)?;
        ensure!(self.socket.recv(&mut [0; 3]).is_ok(), "nothing gets through after the remedy");
        Ok(finding)
    }
}

/// The rule's own counter went from 0 to all of them.
fn is_exact(finding: &Value) -> Result<()> {
    let counter = &finding["evidence"][0];
    ensure!(counter["before"] == 0 && counter["after"] == COUNT, "{finding}");
    ensure!(finding["certainty"] == "certain", "{finding}");
    Ok(())
}

fn says(finding: &Value, member: &str, text: &str) -> Result<()> {
    ensure!(finding[member].as_str().is_some_and(|it| it.contains(text)), "no {text} in {member}: {finding}");
    Ok(())
}

/// A rule with a counter is named with its handle, its words and its count.
fn nft_rule(bench: &Bench) -> Result<()> {
    let target = Target::new()?;
    let words = format!("udp dport {} counter drop", target.port()?);
    let rules = format!("table inet t {{ chain c {{ type filter hook input priority 0; {words}; }}; }}");
    target.lab.receiver.feature("nftables", "nft -f -", &rules)?;
    let finding = target.mend(bench, RULE)?;
    is_exact(&finding)?;
    says(&finding, "subject", "of inet t c")?;
    says(&finding, "sentence", &words)
}

/// A policy has no counter: the one thing that can have dropped them is named.
fn nft_policy(bench: &Bench) -> Result<()> {
    let target = Target::new()?;
    let rules = "table ip t { chain c { type filter hook input priority 0; policy drop; }; }";
    target.lab.receiver.feature("nftables", "nft -f -", rules)?;
    let finding = target.mend(bench, UNCOUNTED)?;
    says(&finding, "subject", "policy of ip t c")
}

fn iptables_rule(bench: &Bench) -> Result<()> {
    let target = Target::new()?;
    let rule = format!("iptables-legacy -w -A INPUT -p udp --dport {} -j DROP", target.port()?);
    target.lab.receiver.feature("iptables", &rule, "")?;
    let finding = target.mend(bench, RULE)?;
    is_exact(&finding)?;
    says(&finding, "subject", "rule 1 of ip filter INPUT")
}

fn iptables_policy(bench: &Bench) -> Result<()> {
    let target = Target::new()?;
    target.lab.receiver.feature("iptables", "iptables-legacy -w -P INPUT DROP", "")?;
    let finding = target.mend(bench, RULE)?;
    is_exact(&finding)?;
    says(&finding, "subject", "policy of ip filter INPUT")
}
