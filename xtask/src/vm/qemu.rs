//! One guest in QEMU: boot, stream its console, and judge it. Silence is failure.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::workspace;

const QEMU: &str = "qemu-system-x86_64";

/// What the guest's init prints last.
const VERDICT: &str = "netdrop-guest: exit=";

/// The guest asks to be stopped for so many seconds: a host that suspends it does no more (`tests/src/lab/guest.rs`).
const STAND_STILL: &str = "netdrop-guest: stand still ";

/// A kernel whose time has jumped further than this believes that a processor hangs.
const LONGEST_STAND: u64 = 15;

/// Lines of a kernel that is not well: each ends the guest.
const SICK: [&str; 7] =
    ["Kernel panic", "rcu: INFO: rcu_", "detected stall", "soft lockup", "hard LOCKUP", "BUG: ", "Oops: "];

/// How often an emulated kernel may be booted: now and then one dies before any of ours runs.
const BOOTS: usize = 3;

/// How the processor is provided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    Kvm,
    Tcg,
}

/// All that QEMU can emulate, but for what only costs time there: a fifth level of page tables, and guards against
/// access to user space that every copy from there has to lift.
const EMULATED_CPU: &str = "max,la57=off,smap=off,smep=off";

/// An emulated processor doesn't speculate, so nothing has to be mitigated; nor is anything to be hidden in memory
/// (kernel: Documentation/admin-guide/kernel-parameters.txt).
const EMULATED_KERNEL_LINE: &str = " mitigations=off init_on_alloc=0";

/// What QEMU emulates of the network cards whose drivers Debian's kernels for clouds have.
const CARDS: [&str; 2] = ["vmxnet3", "virtio-net-pci"];

/// What a guest did.
#[derive(Debug)]
pub struct Outcome {
    pub console: Vec<String>,
    /// The exit code of the guest's command, or why there is none.
    pub exit: Result<i32, String>,
    pub time: Duration,
}

/// KVM where a trial boot comes up soon: the device may exist and still not run guests.
pub fn accelerator(image: &Path, bare_initramfs: &Path) -> Result<Accelerator> {
    const TRIAL: Duration = Duration::from_secs(10);
    let usable = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    // What QEMU says about a KVM that doesn't work would read like an error of this run.
    let quiet = |mut qemu: Command| qemu.stderr(Stdio::null()).spawn();
    if usable && watch(quiet(qemu(image, bare_initramfs, Accelerator::Kvm)?), TRIAL, |_| {})?.exit == Ok(0) {
        return Ok(Accelerator::Kvm);
    }
    Ok(Accelerator::Tcg)
}

/// Boots a kernel to its verdict; each line of the console is passed on as it comes.
pub fn boot(
    image: &Path,
    initramfs: &Path,
    accelerator: Accelerator,
    limit: Duration,
    mut show: impl FnMut(&str),
) -> Result<Outcome> {
    let mut boot = || watch(qemu(image, initramfs, accelerator)?.spawn(), limit, &mut show);
    let mut outcome = boot()?;
    // Emulated processors that run in threads of their own may see each other's code while it is patched (an int3 at some
    // two seconds). None of ours runs by then, so it isn't ours that is hidden.
    for _ in 1..BOOTS {
        if accelerator == Accelerator::Kvm || !outcome.died_booting() {
            break;
        }
        println!("note: an emulated kernel died while it booted, and is booted again: {:?}", outcome.exit);
        outcome = boot()?;
    }
    Ok(outcome)
}

/// Follows a guest just started until its verdict, or whatever else ends it.
fn watch(started: io::Result<Child>, limit: Duration, mut show: impl FnMut(&str)) -> Result<Outcome> {
    let start = Instant::now();
    let mut child = Guest(started.with_context(|| format!("cannot start {QEMU}"))?);
    let lines = lines_of(&mut child.0)?;
    let mut console = Vec::new();
    let exit = loop {
        let left = limit.saturating_sub(start.elapsed());
        match lines.recv_timeout(left) {
            Ok(line) => {
                show(&line);
                if let Some(seconds) = line.strip_prefix(STAND_STILL) {
                    child
                        .stand_still(seconds.parse().context("for how long shall the guest stand still?")?)?;
                }
                let judged = judge(&line);
                console.push(line);
                if let Some(exit) = judged {
                    break exit;
                }
            }
            Err(RecvTimeoutError::Timeout) => break Err(format!("no verdict within {} s", limit.as_secs())),
            Err(RecvTimeoutError::Disconnected) => break Err("the guest ended without a verdict".to_owned()),
        }
    };
    Ok(Outcome { console, exit, time: start.elapsed() })
}

impl Outcome {
    /// Whether the kernel's own lines, which begin with a time in brackets, are all that was heard before its end.
    fn died_booting(&self) -> bool {
        self.exit.is_err()
            && !self.console.is_empty()
            && self.console.iter().all(|line| line.starts_with('['))
    }
}

/// What a line of the console says about the guest's end, if anything.
fn judge(line: &str) -> Option<Result<i32, String>> {
    if let Some(code) = line.strip_prefix(VERDICT) {
        return Some(code.parse().map_err(|_| format!("damaged verdict: {line}")));
    }
    SICK.iter().any(|sign| line.contains(sign)).then(|| Err(format!("the kernel is not well: {line}")))
}

/// A running QEMU, ended with its owner.
struct Guest(Child);

impl Guest {
    fn stand_still(&self, seconds: u64) -> Result<()> {
        let process = Pid::from_raw(self.0.id().cast_signed());
        kill(process, Signal::SIGSTOP).context("cannot stop the guest")?;
        std::thread::sleep(Duration::from_secs(seconds.min(LONGEST_STAND)));
        kill(process, Signal::SIGCONT).context("cannot let the guest go on")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // After a verdict the guest is about to power off; nothing of it is needed any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn qemu(image: &Path, initramfs: &Path, accelerator: Accelerator) -> Result<Command> {
    let (processor, kernel_line) = match accelerator {
        Accelerator::Kvm => (["-accel", "kvm", "-cpu", "host"], ""),
        Accelerator::Tcg => (["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU], EMULATED_KERNEL_LINE),
    };
    let program = workspace::which(QEMU)
        .with_context(|| format!("{QEMU} not found; on Debian: apt-get install qemu-system-x86"))?;
    // The initramfs' file, its unpacked copy, and what runs.
    let size =
        std::fs::metadata(initramfs).with_context(|| format!("cannot read {}", initramfs.display()))?.len();
    let megabytes = 1024 + 3 * (size >> 20);
    let mut command = Command::new(program);
    command
        .args(processor)
        .args(["-m", &format!("{megabytes}M"), "-smp", "2", "-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio"])
        .args(network_cards())
        .args(["-append", &format!("console=ttyS0 quiet panic=-1{kernel_line}")])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(command)
}

/// The network cards of a guest: of each model two, joined by a hub of QEMU's own that leads nowhere else, of which QEMU
/// warns: it is meant. No firmware is to look at them.
fn network_cards() -> impl Iterator<Item = String> {
    CARDS.into_iter().enumerate().flat_map(|(hub, model)| {
        [0, 1].into_iter().flat_map(move |end| {
            let port = format!("hub{hub}end{end}");
            [
                "-netdev".to_owned(),
                format!("hubport,id={port},hubid={hub}"),
                "-device".to_owned(),
                format!("{model},netdev={port},romfile="),
            ]
        })
    })
}

/// The console's lines, read by a thread so that waiting for them can end in time.
fn lines_of(child: &mut Child) -> Result<Receiver<String>> {
    let console = child.stdout.take().context("QEMU's console is piped")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(console);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            if sender.send(clean(&bytes)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    Ok(receiver)
}

/// A console line without line ends, and without what the firmware sends to set the screen up.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::new();
    let mut characters = text.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // ESC [ … letter, or ESC and one character: a terminal's control sequence (ECMA-48).
            '\x1b' => {
                if characters.next() == Some('[') {
                    while characters.next().is_some_and(|next| !next.is_ascii_alphabetic()) {}
                }
            }
            other if other.is_control() && other != '\t' => {}
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_lines_are_judged() {
        let cases: [(&str, Option<Result<i32, ()>>); 6] = [
            ("netdrop-guest: exit=0", Some(Ok(0))),
            ("netdrop-guest: exit=127", Some(Ok(127))),
            ("netdrop-guest: exit=", Some(Err(()))),
            ("[    3.1] Kernel panic - not syncing: x", Some(Err(()))),
            ("[   31.0] watchdog: BUG: soft lockup - CPU#1 stuck", Some(Err(()))),
            ("12 passed, 0 failed, 1 skipped", None),
        ];
        for (line, expected) in cases {
            assert_eq!(judge(line).map(|exit| exit.map_err(drop)), expected, "{line}");
        }
    }

    #[test]
    fn only_a_kernel_that_said_nothing_else_is_booted_again() {
        let outcome = |lines: &[&str], exit: Result<i32, &str>| Outcome {
            console: lines.iter().map(ToString::to_string).collect(),
            exit: exit.map_err(str::to_owned),
            time: Duration::ZERO,
        };
        let [early, oops] = ["[    1.9] IP idents hash table entries: 16384", "[    2.1] Oops: int3"];
        assert!(outcome(&[oops], Err("the kernel is not well")).died_booting());
        assert!(outcome(&[early, oops], Err("the kernel is not well")).died_booting());
        assert!(!outcome(&["ok      udp", oops], Err("the kernel is not well")).died_booting());
        assert!(!outcome(&[], Err("no verdict within 9 s")).died_booting());
        assert!(!outcome(&["netdrop-guest: exit=0"], Ok(0)).died_booting());
    }

    #[test]
    fn control_sequences_are_removed() {
        assert_eq!(clean(b"\x1bc\x1b[?7l\x1b[2Jnetdrop-guest: exit=0\r\n"), "netdrop-guest: exit=0");
    }
}
