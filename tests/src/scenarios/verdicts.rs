//! Which of many rules that look alike, where only the hook tells: it is in no counter, but in the call chain.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::attribution::the_rule;
use super::shape::{BEHIND, ETHER_V4, UDP, V4};
use crate::lab::{Lab, SENDER, until};
use crate::netdrop::Netdrop;
use crate::report::Watcher as _;
use crate::runner::Bench;
use crate::scenario::System;
use crate::traffic::{Ipv4, PacketSocket, Udp};

const PACKETS: u64 = 5;
const PORT: u16 = 9013;
/// Where another rule counts as many, of which netdrop's filter shows nothing.
const OTHER_PORT: u16 = 9014;

/// Netfilter's hooks that a router's packets pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

use Hook::{Forward, Ingress, Input, Output, Postrouting, Prerouting};

/// The hooks of IP.
const HOOKS: [Hook; 5] = [Prerouting, Input, Forward, Output, Postrouting];

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Ingress => "ingress",
            Prerouting => "prerouting",
            Input => "input",
            Forward => "forward",
            Output => "output",
            Postrouting => "postrouting",
        }
    }
}

pub fn table() -> Vec<System> {
    let nft = [Ingress, Prerouting, Input, Forward, Output, Postrouting].map(|hook| {
        System::new(&format!("rule-hook-nft-{}", hook.name()), move |bench| uncounted(bench, hook))
    });
    let iptables = [("raw", Prerouting), ("mangle", Forward), ("filter", Input), ("filter", Output)].map(
        |(table, hook)| {
            let name = format!("rule-hook-iptables-{table}-{}", hook.name());
            System::new(&name, move |bench| counted(bench, table, hook))
        },
    );
    let mut systems: Vec<System> = nft.into_iter().chain(iptables).collect();
    systems.extend([
        System::new("rule-hook-nft-two-could-be-meant", two_tables),
        System::new("rule-hook-nft-family", families),
        System::new("rule-hook-nft-chain-that-others-jump-to", jumps),
        System::new("rule-hook-iptables-two-could-be-meant", two_legacy_tables),
        System::new("rule-hook-estimated", estimated),
    ]);
    systems
}

/// Twenty rules of nftables in all hooks of several tables and families, none with a counter.
fn uncounted(bench: &Bench, hook: Hook) -> Result<()> {
    let lab = Lab::router()?;
    let mut ruleset = String::new();
    if hook == Ingress {
        ruleset += &netdev(PORT);
    }
    for one in HOOKS {
        let ports = if one == hook { PORT..PORT + 1 } else { 9000..9004 };
        ruleset += &chain("inet", "t", one, ports);
    }
    for one in [Input, Forward, Output] {
        ruleset += &chain("ip6", "t6", one, PORT..PORT + 1);
    }
    lab.receiver.feature("nftables", "nft -f -", &ruleset)?;
    let end = watched(bench, &lab, &[], &[(hook, PORT)])?;
    judge_place(&end, hook)?;
    let rule = the_rule(&end, &[("system", "nft"), ("hook", hook.name()), ("certainty", "only")])?;
    ensure!(rule["text"] == format!("udp dport {PORT} drop"), "another rule: {rule}");
    ensure!(rule["handle"].is_u64() && rule["drops"] == PACKETS, "another place: {rule}");
    Ok(())
}

/// Twenty rules of iptables; another one, in another hook, counts as many packets at the same time.
fn counted(bench: &Bench, table: &str, hook: Hook) -> Result<()> {
    let elsewhere = if hook == Input { Forward } else { Input };
    let lab = Lab::router()?;
    let mut rules: Vec<(&str, Hook, u16)> = Vec::new();
    for port in 9000..9003 {
        rules.extend([("raw", Prerouting, port), ("mangle", Postrouting, port)]);
        rules.extend([("mangle", Input, port), ("filter", Output, port), ("filter", Forward, port)]);
    }
    rules.extend([("mangle", Prerouting, 9000), ("mangle", Output, 9000), ("filter", Input, 9000)]);
    rules.extend([("filter", elsewhere, OTHER_PORT), (table, hook, PORT)]);
    iptables(&lab, &rules)?;
    let end =
        watched(bench, &lab, &["--dport", &PORT.to_string()], &[(elsewhere, OTHER_PORT), (hook, PORT)])?;
    judge_place(&end, hook)?;
    let chain = hook.name().to_ascii_uppercase();
    let expected =
        [("system", "iptables"), ("table", table), ("chain", chain.as_str()), ("certainty", "exact")];
    let rule = the_rule(&end, &expected)?;
    ensure!(
        rule["text"] == format!("-A {chain} -p udp -m udp --dport {PORT} -j DROP"),
        "another rule: {rule}"
    );
    ensure!(rule["packets"] == PACKETS, "another number: {rule}");
    Ok(())
}

/// Two tables have a rule in the hook; the other hooks' are left out.
fn two_tables(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    let mut ruleset = chain("inet", "t1", Forward, PORT..PORT + 1);
    ruleset += &chain("inet", "t2", Forward, PORT..PORT + 1);
    for one in HOOKS.into_iter().filter(|hook| *hook != Forward) {
        ruleset += &chain("inet", "t", one, 9000..9005);
    }
    lab.receiver.feature("nftables", "nft -f -", &ruleset)?;
    let end = watched(bench, &lab, &[], &[(Forward, PORT)])?;
    judge_both(&end, "table", ["t1", "t2"])
}

/// `ip` and `inet` hang on the same hooks: newer kernels' call chains tell them apart, and on others both are meant.
fn families(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    let ruleset = chain("ip", "t4", Input, 9000..9010) + &chain("inet", "t", Input, PORT..PORT + 1);
    lab.receiver.feature("nftables", "nft -f -", &ruleset)?;
    let end = watched(bench, &lab, &[], &[(Input, PORT)])?;
    let place = judge_place(&end, Input)?;
    if place["framework"] == "nftables" {
        return the_rule(&end, &[("family", "inet"), ("certainty", "only")]).map(drop);
    }
    let rules = end["rules"].as_array().context("no rules")?;
    let candidates = rules.iter().filter(|rule| rule["certainty"] == "candidate").count();
    ensure!(rules.len() == 11 && candidates == 11, "not all that could be meant are named: {rules:?}");
    Ok(())
}

/// A chain has the hooks of those that jump to it.
fn jumps(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    let rule = |port: u16| format!("udp dport {port} drop;");
    let ruleset = format!(
        "table inet t {{
            chain of_input {{ {} }}
            chain of_forward {{ {} }}
            chain i {{ type filter hook input priority 0; jump of_input; }}
            chain f {{ type filter hook forward priority 0; goto of_forward; }}
        }}",
        rule(9000),
        rule(PORT)
    );
    lab.receiver.feature("nftables", "nft -f -", &ruleset)?;
    let end = watched(bench, &lab, &[], &[(Forward, PORT)])?;
    judge_place(&end, Forward)?;
    the_rule(&end, &[("chain", "of_forward"), ("certainty", "only")]).map(drop)
}

/// Two tables' rules in one hook counted the same number, and the call chain has no table.
fn two_legacy_tables(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    let rules = [("mangle", Input, PORT), ("filter", Input, OTHER_PORT), ("filter", Forward, OTHER_PORT + 1)];
    iptables(&lab, &rules)?;
    let sent = [(Forward, OTHER_PORT + 1), (Input, OTHER_PORT), (Input, PORT)];
    let end = watched(bench, &lab, &["--dport", &PORT.to_string()], &sent)?;
    judge_both(&end, "table", ["filter", "mangle"])
}

/// One of the kernel's counters, two hooks, and details of some drops alone: shares are estimated, and nobody is left out.
fn estimated(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    let ruleset = chain("inet", "t", Input, PORT..PORT + 1) + &chain("inet", "t", Forward, PORT..PORT + 1);
    lab.receiver.feature("nftables", "nft -f -", &ruleset)?;
    let sent = [(Input, PORT), (Forward, PORT)].repeat(50);
    let end = watched(bench, &lab, &["--rate", "10"], &sent)?;
    let verdicts = end["verdicts"].as_array().context("no place is told")?;
    let packets: u64 = verdicts.iter().filter_map(|one| one["packets"].as_u64()).sum();
    let both = verdicts.len() == 2 && verdicts.iter().all(|one| one["estimated"] == true);
    ensure!(both && packets == 100 * PACKETS, "not two estimates of {}: {verdicts:?}", 100 * PACKETS);
    judge_both(&end, "hook", ["forward", "input"])
}

fn chain(family: &str, table: &str, hook: Hook, ports: std::ops::Range<u16>) -> String {
    let name = hook.name();
    let rules: Vec<String> = ports.map(|port| format!("udp dport {port} drop; ")).collect();
    let rules = rules.concat();
    format!("table {family} {table} {{ chain {name} {{ type filter hook {name} priority 0; {rules} }}; }};\n")
}

fn netdev(port: u16) -> String {
    format!(
        "table netdev n {{ chain c {{ type filter hook ingress device r0 priority 0; \
         udp dport {port} drop; }}; }};\n"
    )
}

fn iptables(lab: &Lab, rules: &[(&str, Hook, u16)]) -> Result<()> {
    for (table, hook, port) in rules {
        let chain = hook.name().to_ascii_uppercase();
        let rule = format!("iptables-legacy -w -t {table} -A {chain} -p udp --dport {port} -j DROP");
        lab.receiver.feature("iptables", &rule, "")?;
    }
    lab.receiver.feature("iptables", "iptables-legacy-save -c", "")
}

/// The `end` line of a netdrop that watched the router while packets were sent that pass these hooks.
fn watched(bench: &Bench, lab: &Lab, arguments: &[&str], sent: &[(Hook, u16)]) -> Result<Value> {
    let inode = lab.receiver.inode();
    let netns = inode.to_string();
    let filtered = arguments.contains(&"--dport");
    let all = ["--rules", "--netns", &netns];
    let udp = if filtered { vec![] } else { vec!["--dport", "9000-9099"] };
    let mut netdrop = Netdrop::start(&bench.netdrop, &[&all, &udp[..], arguments].concat())?;
    for (hook, port) in sent {
        send(lab, *hook, *port)?;
    }
    let counted = if filtered { PACKETS } else { PACKETS * sent.len() as u64 };
    until("the drops", Duration::from_secs(10), || {
        let here = netdrop.so_far().count(|row| row.inode() == Some(inode));
        Ok((here >= counted).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    let (status, mut lines, stderr) = netdrop.wait()?;
    ensure!(status.success(), "netdrop ended with {status}: {}", stderr.trim());
    let end = lines.pop().filter(|line| line["kind"] == "end").context("no `end` line at the end")?;
    for line in lines.iter().filter(|line| line["kind"] == "drop") {
        ensure!(line["verdict"]["hook"].is_string(), "a drop without its hook: {line}");
        ensure!(line.get("stack").is_none(), "a call chain that nobody asked to see: {line}");
    }
    Ok(end)
}

/// Packets that come to the hook: to the router, through it, or from it, where they are refused.
fn send(lab: &Lab, hook: Hook, port: u16) -> Result<()> {
    let destination = match hook {
        Ingress | Prerouting | Input => V4.destination,
        Forward | Postrouting => BEHIND,
        Output => return send_from_router(lab, port),
    };
    let datagram = Udp { destination: port, ..UDP }.packet(&Ipv4 { destination, ..V4 }, b"hello");
    PacketSocket::sender(lab.from(), SENDER.device)?.repeat(&ETHER_V4.wrap(&datagram), PACKETS)
}

fn send_from_router(lab: &Lab, port: u16) -> Result<()> {
    let to: Ipv4Addr = SENDER.v4;
    lab.receiver.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for _ in 0..PACKETS {
            match socket.send_to(b"hello", (to, port)) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                other => bail!("the rule let a datagram out: {other:?}"),
            }
        }
        Ok(())
    })
}

/// All drops were decided in this hook, and nothing about it is estimated.
fn judge_place(end: &Value, hook: Hook) -> Result<&Value> {
    let verdicts = end["verdicts"].as_array().context("no place is told")?;
    let [place] = &verdicts[..] else { bail!("not one place: {verdicts:?}") };
    let right = place["hook"] == hook.name()
        && place["packets"] == PACKETS
        && place.get("estimated").is_none()
        && place["family"].is_string();
    ensure!(right, "another place than {}: {place}", hook.name());
    Ok(place)
}

/// Two rules, told apart by `member`, are candidates, and no other is.
fn judge_both(end: &Value, member: &str, expected: [&str; 2]) -> Result<()> {
    let rules = end["rules"].as_array().context("no rules")?;
    let mut found: Vec<&str> = rules.iter().filter_map(|rule| rule[member].as_str()).collect();
    found.sort_unstable();
    let both = found == expected && rules.iter().all(|rule| rule["certainty"] == "candidate");
    ensure!(both, "not these two are named as candidates: {rules:?}");
    Ok(())
}
