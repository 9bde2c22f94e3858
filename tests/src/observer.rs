//! The independent witness: bpftrace on the same tracepoint, with a program that shares nothing with netdrop's.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{Skip, until};
use crate::report::{Device, Netns, Report, Row, Watcher};

/// A running bpftrace.
pub struct Observer {
    child: Child,
    latest: Arc<Mutex<State>>,
    reasons: HashMap<u64, String>,
}

#[derive(Default)]
struct State {
    ready: bool,
    ended: bool,
    map: Value,
}

impl Observer {
    /// Starts bpftrace and waits until its probe is attached. Its absence is a [`Skip`].
    pub fn start() -> Result<Self> {
        let format = tracepoint("skb/kfree_skb")?;
        let mut child = command("bpftrace")
            .args(["-B", "line", "-f", "json", "-e", &program(&format)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Skip(format!("no bpftrace to compare with: {error}")))?;
        let latest = Arc::new(Mutex::new(State::default()));
        let stdout = child.stdout.take().context("stdout is piped")?;
        let state = Arc::clone(&latest);
        std::thread::spawn(move || follow(BufReader::new(stdout), &state));
        let observer = Self { child, latest, reasons: reasons(&format) };
        until("bpftrace to attach", Duration::from_secs(30), || {
            let state = observer.state();
            anyhow::ensure!(!state.ended, "bpftrace ended before it attached");
            Ok(state.ready.then_some(()))
        })?;
        Ok(observer)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.latest.lock().expect("the reader doesn't panic")
    }

    fn rows(&self) -> Vec<Row> {
        let state = self.state();
        let map = state.map.as_object().into_iter().flatten();
        map.filter_map(|(key, count)| self.row(key, count.as_u64()?)).collect()
    }

    /// A key is `symbol,address,reason,protocol,ifindex` and the inodes seen from device, socket, receiver, route.
    fn row(&self, key: &str, count: u64) -> Option<Row> {
        let fields: Vec<&str> = key.split(',').collect();
        let number = |at: usize| fields.get(at)?.parse::<i64>().ok().map(i64::cast_unsigned);
        let inode = (5..=8).filter_map(number).find(|inode| *inode != 0);
        Some(Row {
            count,
            reason: self.reasons.get(&number(2)?).cloned(),
            class: None,
            function: Some(fields[0].to_owned()),
            // Kernel text lies in the upper two gigabytes, so the lower half says it all.
            address: Some(format!("{:#x}", number(1)? | 0xffff_ffff_0000_0000)),
            device: number(4)
                .and_then(|index| u32::try_from(index).ok())
                .filter(|index| *index != 0)
                .map(|index| Device { index, name: None }),
            netns: inode.map(|inode| Netns { inode }),
            protocol: Some(format!("{:#06x}", number(3)?)),
        })
    }
}

impl Watcher for Observer {
    fn so_far(&self) -> Report {
        Report { rows: self.rows(), ..Report::default() }
    }

    fn finish(mut self: Box<Self>) -> Result<Report> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        until("bpftrace to end", Duration::from_secs(30), || Ok(self.state().ended.then_some(())))?;
        self.child.wait()?;
        Ok(Report { rows: self.rows(), ..Report::default() })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(lines: impl BufRead, state: &Mutex<State>) {
    for line in lines.lines().map_while(Result::ok) {
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        let mut state = state.lock().expect("the other side doesn't panic");
        // Output of BEGIN is read only once every probe is attached.
        state.ready |= value["type"] == "printf";
        if value["type"] == "map" {
            state.map = value["data"]["@"].clone();
        }
    }
    state.lock().expect("the other side doesn't panic").ended = true;
}

/// A script of bpftrace's own kind, line by line.
pub struct Script {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Starts it and waits until it is attached. bpftrace's absence is a [`Skip`].
    pub fn start(script: &str) -> Result<Self> {
        const READY: &str = "attached";
        let script = format!("BEGIN {{ printf(\"{READY}\\n\"); }}\n{script}");
        let mut child = command("bpftrace")
            .args(["-B", "line", "-e", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Skip(format!("no bpftrace to compare with: {error}")))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.lock().expect("the other side doesn't panic").push(line);
            }
        });
        let mut script = Self { child, lines };
        until("bpftrace to attach", Duration::from_secs(30), || {
            anyhow::ensure!(script.child.try_wait()?.is_none(), "bpftrace ended before it attached");
            Ok(script.so_far().iter().any(|line| line == READY).then_some(()))
        })?;
        Ok(script)
    }

    /// The lines that it has printed.
    pub fn so_far(&self) -> Vec<String> {
        self.lines.lock().expect("the reader doesn't panic").clone()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a tracepoint tells, in the kernel's own words (Documentation/trace/events.rst).
pub fn tracepoint(name: &str) -> Result<String> {
    let format = command("cat").arg(format!("/sys/kernel/tracing/events/{name}/format")).output();
    Ok(String::from_utf8(format.context("can't mount tracefs")?.stdout)?)
}

/// A command in a mount namespace of its own, in which tracefs is mounted.
fn command(program: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    // SAFETY: only system calls between fork and exec; the strings are literals.
    unsafe {
        command.pre_exec(|| {
            let nothing = None::<&str>;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
            for (kind, path) in [("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug")] {
                // Already mounted is as good.
                let _ = mount(Some(kind), path, Some(kind), MsFlags::empty(), nothing);
            }
            Ok(())
        });
    }
    command
}

fn program(format: &str) -> String {
    let has = |field: &str| format.contains(&format!(" {field};"));
    let reason = if has("reason") { "args->reason" } else { "0" };
    let receiver =
        if has("rx_sk") { "((struct sock *)args->rx_sk)->__sk_common.skc_net.net->ns.inum" } else { "0" };
    format!(
        "BEGIN {{ printf(\"ready\\n\"); }}
         tracepoint:skb:kfree_skb {{
           $skb = (struct sk_buff *)args->skbaddr;
           $dst = (struct dst_entry *)($skb->_skb_refdst & 0xfffffffffffffffe);
           @[ksym(args->location), (uint64)args->location, {reason}, args->protocol,
             $skb->dev->ifindex ? $skb->dev->ifindex : (uint32)$skb->skb_iif,
             $skb->dev->nd_net.net->ns.inum, $skb->sk->__sk_common.skc_net.net->ns.inum, {receiver},
             $dst->dev->nd_net.net->ns.inum] = count();
         }}
         interval:ms:200 {{ print(@); }}"
    )
}

/// The names in the tracepoint's own `print fmt`: `{ 3, "NO_SOCKET" }`.
pub fn reasons(format: &str) -> HashMap<u64, String> {
    let list = format.split("REC->reason,").nth(1).unwrap_or("");
    list.split('{')
        .filter_map(|item| {
            let (number, rest) = item.split_once(',')?;
            Some((number.trim().parse().ok()?, rest.split('"').nth(1)?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reasons_come_from_the_print_format() {
        let format = "__print_symbolic(REC->reason, { 2, \"NOT_SPECIFIED\" }, { 3, \"NO_SOCKET\" })";
        let reasons = super::reasons(format);
        assert_eq!(reasons.get(&3).map(String::as_str), Some("NO_SOCKET"));
        assert_eq!(reasons.len(), 2);
    }
}
