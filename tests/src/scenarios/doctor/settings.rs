//! Settings of a namespace, set as tuning scripts do: found, and put right by the printed commands.

use std::net::TcpListener;

use anyhow::{Result, ensure};

use super::PATIENCE;
use super::tcp::{connect, listener};
use crate::doctor::{Doctor, Kept, Told, apply, examined};
use crate::lab::{Lab, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-settings-default", default),
        ("doctor-settings-odd", odd),
        ("doctor-settings-backed", backed),
        ("doctor-settings-ports", ports),
        ("doctor-settings-of-host", of_host),
    ])
}

fn look(bench: &Bench, lab: &Lab) -> Result<Told> {
    examined(bench, &lab.receiver, "settings", || Ok(()))
}

/// Settings of a namespace that nobody set anything in.
fn default(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let told = look(bench, &lab)?;
    let ours = told.findings.iter().filter(|finding| !finding["netns"].is_null());
    ensure!(ours.count() == 0, "{:?}", told.findings);
    ensure!(told.findings.iter().all(|finding| finding["severity"] == "info"), "{:?}", told.findings);
    Ok(())
}

/// One value for each kind of check; each is told as hygiene, and its own command mends it.
fn odd(bench: &Bench) -> Result<()> {
    const ODD: [(&str, &str, &str); 6] = [
        ("net/ipv4/tcp_sack", "0", "settings-harmful"),
        ("net/ipv4/tcp_window_scaling", "0", "settings-harmful"),
        ("net/ipv4/tcp_fin_timeout", "10", "settings-useless"),
        ("net/ipv4/tcp_timestamps", "0", "settings-fighting"),
        ("net/ipv4/tcp_tw_reuse", "1", ""),
        ("net/ipv4/tcp_rmem", "131072 4096 6291456", "settings-order"),
    ];
    let lab = Lab::alone()?;
    for (key, value, _) in ODD {
        lab.receiver.sysctl(key, value)?;
    }
    let told = look(bench, &lab)?;
    for (key, _, check) in ODD.iter().filter(|(_, _, check)| !check.is_empty()) {
        let key = key.replace('/', ".");
        let finding =
            told.findings.iter().find(|one| one["subject"] == key.as_str() && one["check"] == *check);
        let Some(finding) = finding else { anyhow::bail!("{key} isn't among {:?}", told.findings) };
        ensure!(finding["severity"] == "info", "{finding}");
        ensure!(finding["cause"].as_str().is_some_and(|cause| cause.contains("hygiene")), "{finding}");
        apply(finding)?;
    }
    let told = look(bench, &lab)?;
    for (_, _, check) in ODD.iter().filter(|(_, _, check)| !check.is_empty()) {
        told.none(check)?;
    }
    Ok(())
}

/// Resets at a full accept queue, while queues are full: no hygiene any more.
fn backed(bench: &Bench) -> Result<()> {
    const CHECK: &str = "settings-harmful";
    let lab = Lab::alone()?;
    lab.receiver.sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let overflows = || lab.receiver.counter("TcpExt", "ListenOverflows");
    let overflow = || {
        let (_listener, address) = listener(&lab.receiver, 4)?;
        let before = overflows()?;
        let _clients = connect(&lab.receiver, address, 60)?;
        until("connections to be refused a place", PATIENCE, || {
            Ok((overflows()? >= before + 20).then_some(()))
        })
    };
    let told = examined(bench, &lab.receiver, "settings", overflow)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["severity"] == "warning", "{finding}");
    ensure!(finding["evidence"][0]["counter"] == "TcpExtListenOverflows", "{finding}");
    apply(finding)?;
    examined(bench, &lab.receiver, "settings", overflow)?.none(CHECK)
}

/// A service within a range that was widened: its port is reserved by the printed command.
fn ports(bench: &Bench) -> Result<()> {
    const CHECK: &str = "settings-ports";
    let lab = Lab::alone()?;
    let _service = lab.receiver.enter(|| Ok(TcpListener::bind("127.0.0.1:8080")?))?;
    look(bench, &lab)?.none(CHECK)?;
    lab.receiver.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
    let told = look(bench, &lab)?;
    let finding = told.one(CHECK)?;
    ensure!(finding["sentence"].as_str().is_some_and(|sentence| sentence.contains("8080")), "{finding}");
    apply(finding)?;
    look(bench, &lab)?.none(CHECK)
}

/// One that each namespace has its own of since 6.8, and the host alone before: told once where it is odd, with a command that can set it.
fn of_host(bench: &Bench) -> Result<()> {
    const FILE: &str = "net/core/optmem_max";
    let _kept = Kept::of_guest(&[FILE])?;
    let _lab = Lab::alone()?;
    Kept::set(FILE, "1024")?;
    let odd = || -> Result<Vec<_>> {
        let told = Doctor::start(bench, &["--all-netns", "--only", "settings"])?.end(bench)?;
        Ok(told.findings.into_iter().filter(|finding| finding["subject"] == "net.core.optmem_max").collect())
    };
    let found = odd()?;
    ensure!(found.len() == 1 && found[0]["netns"].is_null(), "{found:?}");
    apply(&found[0])?;
    let left = odd()?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
