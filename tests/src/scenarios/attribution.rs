//! Who dropped it: the rule among many that look alike, the filter, the XDP program; and what devices counted themselves.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::shape::{ETHER_V4, UDP, V4};
use crate::bpf::{NAME, PinnedDrop, XdpMode, attach_tcx_drop, attach_xdp_drop, program_ids};
use crate::lab::{Folder, Lab, RECEIVER, SENDER, Skip, until};
use crate::netdrop::Netdrop;
use crate::report::Watcher as _;
use crate::runner::Bench;
use crate::scenario::{KernelTypes, System};
use crate::traffic::{Ethernet, PacketSocket, Udp};

const PACKETS: u64 = 5;
/// Twenty rules that differ by their port alone; the packets go to one in the middle.
const PORTS: std::ops::Range<u16> = 9000..9020;
const PORT: u16 = 9013;

pub fn table() -> Vec<System> {
    let mut table = firewalls();
    table.extend(devices());
    table
}

fn firewalls() -> Vec<System> {
    vec![
        System::new("rule-nft-among-twenty", |bench| {
            let lab = Lab::pair()?;
            let rules: Vec<String> = PORTS.map(|port| format!("udp dport {port} counter drop; ")).collect();
            nft(&lab, "accept", &rules.concat())?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(
                &end,
                &[
                    ("system", "nft"),
                    ("table", "t"),
                    ("chain", "c"),
                    ("hook", "input"),
                    ("certainty", "exact"),
                ],
            )?;
            ensure!(rule["text"] == format!("udp dport {PORT} counter drop"), "another rule: {rule}");
            ensure!(rule["position"] == 14 && rule["handle"].is_u64(), "another place: {rule}");
            judge_numbers(rule)
        }),
        System::new("rule-nft-without-a-counter", |bench| {
            let lab = Lab::pair()?;
            nft(&lab, "accept", &format!("udp dport {} counter drop; udp dport {PORT} drop; ", PORTS.start))?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(&end, &[("certainty", "only")])?;
            ensure!(rule["text"] == format!("udp dport {PORT} drop"), "another rule: {rule}");
            ensure!(rule.get("packets").is_none(), "a number from nowhere: {rule}");
            Ok(())
        }),
        System::new("rule-nft-two-could-be-meant", |bench| {
            let lab = Lab::pair()?;
            nft(&lab, "accept", &format!("udp dport {PORT} drop; udp dport {} drop; ", PORT + 1))?;
            let end = watched(bench, &lab, &to_port())?;
            let rules = end["rules"].as_array().context("no rules")?;
            let both = rules.len() == 2 && rules.iter().all(|rule| rule["certainty"] == "candidate");
            ensure!(both, "not both are named as candidates: {rules:?}");
            Ok(())
        }),
        System::new("rule-nft-policy", |bench| {
            let lab = Lab::pair()?;
            nft(&lab, "drop", "")?;
            let end = watched(bench, &lab, &to_port())?;
            the_rule(&end, &[("verdict", "policy"), ("chain", "c"), ("certainty", "only")]).map(drop)
        }),
        System::new("rule-nft-without-its-tool", |bench| {
            let lab = Lab::pair()?;
            nft(&lab, "accept", &format!("udp dport {PORT} counter drop; "))?;
            let end = watched_with(bench, &lab, &to_port(), |command| {
                command.env("PATH", "/nowhere");
            })?;
            let notes = end["notes"].as_array().context("nothing is noted")?;
            let missing = notes
                .iter()
                .filter_map(Value::as_str)
                .any(|note| note == "`nft` is not installed: install nftables to have its rules named.");
            ensure!(missing && end.get("rules").is_none(), "not told why no rule is named: {notes:?}");
            Ok(())
        }),
        System::new("rule-iptables-among-twenty", |bench| {
            let lab = iptables()?;
            for port in PORTS {
                let rule = format!("iptables-legacy -w -A INPUT -p udp --dport {port} -j DROP");
                lab.receiver.feature("iptables", &rule, "")?;
            }
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(
                &end,
                &[("system", "iptables"), ("table", "filter"), ("chain", "INPUT"), ("certainty", "exact")],
            )?;
            ensure!(
                rule["text"] == format!("-A INPUT -p udp -m udp --dport {PORT} -j DROP"),
                "another rule: {rule}"
            );
            ensure!(rule["position"] == 14, "another place: {rule}");
            judge_numbers(rule)
        }),
        System::new("rule-iptables-policy", |bench| {
            let lab = iptables()?;
            lab.receiver.feature("iptables", "iptables-legacy -w -P INPUT DROP", "")?;
            let end = watched(bench, &lab, &to_port())?;
            let rule =
                the_rule(&end, &[("system", "iptables"), ("verdict", "policy"), ("certainty", "exact")])?;
            judge_numbers(rule)
        }),
    ]
}

/// What hangs on a device, and what it counts.
fn devices() -> Vec<System> {
    vec![
        System::new("rule-tc-action", |bench| {
            let lab = classifier("bytecode \"1,6 0 0 4294967295,\" action drop")?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(&end, &[("system", "tc"), ("direction", "ingress"), ("certainty", "exact")])?;
            ensure!(rule["device"]["name"] == RECEIVER.device, "another device: {rule}");
            ensure!(rule["packets"] == PACKETS, "another number: {rule}");
            let which = rule["handle"].is_u64() && rule["text"] == "filter bpf pref 49152 action gact";
            ensure!(which, "another filter: {rule}");
            Ok(())
        }),
        System::new("rule-tc-program-of-ebpf", |bench| {
            let folder = Folder::create()?;
            let (pinned, program) = new_program(|| PinnedDrop::create(&folder.file("bpf")))?;
            let lab = classifier(&format!("da object-pinned {}", pinned.path()))?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(&end, &[("system", "tc"), ("direction", "ingress"), ("certainty", "only")])?;
            judge_program(rule, program)
        }),
        System::new("rule-tcx-program", |bench| {
            let lab = Lab::pair()?;
            let index = receivers_index(&lab)?;
            let (_link, program) = new_program(|| lab.receiver.enter(|| attach_tcx_drop(index)))?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(&end, &[("system", "tcx"), ("direction", "ingress"), ("certainty", "only")])?;
            judge_program(rule, program)
        }),
        System::new("rule-tc-program", |bench| {
            let lab = classifier("da bytecode \"1,6 0 0 2,\"")?;
            let end = watched(bench, &lab, &to_port())?;
            let rule = the_rule(&end, &[("system", "tc"), ("verdict", "program"), ("certainty", "only")])?;
            ensure!(rule["device"]["name"] == RECEIVER.device, "another device: {rule}");
            Ok(())
        }),
        System::new("rule-xdp-program", |bench| {
            let (end, program) = with_xdp(bench, XdpMode::Generic)?;
            if !KernelTypes::read()?.has_reason("XDP") {
                return Err(Skip("this kernel has no reason for drops by XDP".into()).into());
            }
            let rule = the_rule(&end, &[("system", "xdp"), ("direction", "ingress"), ("certainty", "only")])?;
            judge_program(rule, program)
        }),
        System::new("device-xdp-native-drops", |bench| {
            let (end, program) = with_xdp(bench, XdpMode::Native)?;
            let count = the_count(&end, "rx_queue_*_xdp_drops")?;
            ensure!(count["source"] == "driver" && count["count"] == PACKETS, "another number: {count}");
            ensure!(count["program"]["id"] == program, "another program than {program}: {count}");
            Ok(())
        }),
        System::new("device-counter-that-moves", |bench| {
            let lab = Lab::pair()?;
            // For local experiments (IEEE 802): nobody takes it.
            let unknown = Ethernet { ethertype: 0x88b5, ..ETHER_V4 };
            let end = watched(bench, &lab, &unknown.wrap(&[0; 46]))?;
            let count = the_count(&end, "rx_dropped")?;
            ensure!(count["source"] == "link" && count["count"] == PACKETS, "another number: {count}");
            ensure!(count["also_seen"] == PACKETS, "netdrop saw each of them: {count}");
            Ok(())
        }),
    ]
}

/// A datagram to the rule's port.
fn to_port() -> Vec<u8> {
    ETHER_V4.wrap(&Udp { destination: PORT, ..UDP }.packet(&V4, b"hello"))
}

fn nft(lab: &Lab, policy: &str, rules: &str) -> Result<()> {
    let ruleset = format!(
        "table inet t {{ chain c {{ type filter hook input priority 0; policy {policy}; {rules} }}; }}"
    );
    lab.receiver.feature("nftables", "nft -f -", &ruleset)
}

/// A pair, where the legacy tool can be asked for its rules.
fn iptables() -> Result<Lab> {
    let lab = Lab::pair()?;
    lab.receiver.feature("iptables", "iptables-legacy-save -c", "")?;
    Ok(lab)
}

/// A pair with a filter in front of the receiver.
fn classifier(filter: &str) -> Result<Lab> {
    if !KernelTypes::read()?.has_reason("TC_INGRESS") {
        return Err(Skip("this kernel has no reason for drops by tc".into()).into());
    }
    let lab = Lab::pair()?;
    lab.receiver.feature("clsact", "tc qdisc add dev r0 clsact", "")?;
    let filter = format!("filter add dev r0 ingress bpf {filter}\n");
    lab.receiver.feature("cls_bpf", "tc -batch -", &filter)?;
    Ok(lab)
}

/// The `end` line, and the number of the program that dropped.
fn with_xdp(bench: &Bench, mode: XdpMode) -> Result<(Value, u32)> {
    let lab = Lab::pair()?;
    let index = receivers_index(&lab)?;
    let (_link, program) = new_program(|| lab.receiver.enter(|| attach_xdp_drop(index, mode)))?;
    Ok((watched(bench, &lab, &to_port())?, program))
}

/// The number of the program that `work` loads.
fn new_program<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u32)> {
    let before = program_ids()?;
    let made = work()?;
    let program = program_ids()?.into_iter().find(|id| !before.contains(id));
    Ok((made, program.context("no program came")?))
}

fn receivers_index(lab: &Lab) -> Result<u32> {
    let devices = lab.receiver.devices()?;
    let found = devices.into_iter().find(|(_, name)| name == RECEIVER.device);
    Ok(found.context("the pair has it")?.0)
}

/// The rule is the program, on the receiver's device.
fn judge_program(rule: &Value, program: u32) -> Result<()> {
    let named = rule["program"]["id"] == program && rule["program"]["name"] == NAME;
    ensure!(named, "another program than {program} {NAME}: {rule}");
    ensure!(rule["device"]["name"] == RECEIVER.device, "another device: {rule}");
    Ok(())
}

/// The `end` line of a netdrop that watched the receiver while the frame was sent.
fn watched(bench: &Bench, lab: &Lab, frame: &[u8]) -> Result<Value> {
    watched_with(bench, lab, frame, |_| {})
}

/// [`watched`], by a netdrop in other surroundings.
fn watched_with(bench: &Bench, lab: &Lab, frame: &[u8], prepare: impl FnOnce(&mut Command)) -> Result<Value> {
    let inode = lab.receiver.inode();
    let netns = inode.to_string();
    let arguments = ["--rules", "--netns", &netns];
    let mut netdrop = Netdrop::start_with(&bench.netdrop, &arguments, prepare)?;
    PacketSocket::sender(lab.from(), SENDER.device)?.repeat(frame, PACKETS)?;
    until("the drops", Duration::from_secs(5), || {
        let here = netdrop.so_far().count(|row| row.inode() == Some(inode));
        Ok((here >= PACKETS).then_some(()))
    })?;
    netdrop.signal(Signal::SIGINT)?;
    let (status, mut lines, stderr) = netdrop.wait()?;
    ensure!(status.success(), "netdrop ended with {status}: {}", stderr.trim());
    lines.pop().filter(|line| line["kind"] == "end").context("no `end` line at the end")
}

/// The one rule that is named, and is as expected.
pub(super) fn the_rule<'a>(end: &'a Value, expected: &[(&str, &str)]) -> Result<&'a Value> {
    let rules =
        end["rules"].as_array().with_context(|| format!("no rules are named; notes: {}", end["notes"]))?;
    let [rule] = &rules[..] else { anyhow::bail!("not one rule is named: {rules:?}") };
    for (key, value) in expected {
        ensure!(rule[key] == *value, "{key} is not {value}: {rule}");
    }
    Ok(rule)
}

/// Each packet has 5 bytes behind the headers of UDP and IPv4.
fn judge_numbers(rule: &Value) -> Result<()> {
    let expected = rule["packets"] == PACKETS && rule["drops"] == PACKETS && rule["bytes"] == PACKETS * 33;
    ensure!(expected, "other numbers: {rule}");
    Ok(())
}

/// What a device of the receiver counted under this name.
fn the_count<'a>(end: &'a Value, counter: &str) -> Result<&'a Value> {
    let counts = end["devices"].as_array().context("no device counted anything")?;
    let wanted = |count: &&Value| count["counter"] == counter && count["device"]["name"] == RECEIVER.device;
    counts.iter().find(wanted).with_context(|| format!("no {counter} of {} in {counts:?}", RECEIVER.device))
}
