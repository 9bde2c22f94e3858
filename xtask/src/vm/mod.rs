//! Virtual machines: the scenarios on other kernels than the machine's own.

mod apt;
mod cpio;
mod initramfs;
mod kernels;
pub mod matrix;
mod modules;
mod netdevsim;
mod qemu;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

pub use kernels::MATRIX;

use crate::workspace::{self, Binaries};
use kernels::Kernel;
use qemu::{Accelerator, Outcome};

/// Seconds until a guest is given up, unless the caller says otherwise: emulated guests are some twenty times slower
/// than the machine itself.
pub const LIMIT_SECONDS: u64 = 1500;

/// Cases that emulated guests leave out, as each costs them seconds: what doesn't depend on the kernel is proven once, natively.
const PROVEN_ONCE: [&str; 69] = [
    // The same code of the program with another verdict or value.
    "filter-not-",
    "filter-host=10",
    "filter-src",
    "filter-sport",
    "filter-port=50",
    "filter-dport=80",
    "tcp-filters-of-life",
    "tcp-filters-of-retransmits",
    "tcp-filters-of-states",
    // User space alone: flags, files, pipes, counters of rules, a command's end. The library's answers about owners stand in `owned-` once more.
    "end-unknown",
    "end-bad",
    "end-output",
    "end-by-count",
    "end-by-duration",
    "pcap-",
    "tcp-life-by-port",
    "tcp-resets-run",
    "tcp-retransmits-by",
    "tcp-rtt-by",
    "rule-nft-",
    "rule-iptables-",
    "rule-hook-iptables-filter-output",
    "rule-hook-iptables-raw",
    "rule-hook-iptables-mangle",
    "rule-hook-iptables-two",
    "rule-hook-nft-two",
    "rule-hook-nft-family",
    "rule-hook-nft-chain",
    "rule-hook-estimated",
    "report-",
    "owner-",
    "run-ends",
    "run-of",
    "run-output",
    "run-fails",
    "run-repeats",
    "run-warm",
    "run-terminate",
    "run-ctrl",
    "run-daemonizes",
    // The doctor's arithmetic, or tools of user space; how fast a program is, which is chance where it is emulated.
    "doctor-without-privileges",
    "doctor-two-causes",
    "doctor-ties-",
    "doctor-silence-",
    "doctor-link-",
    "doctor-steering-one-queue",
    "doctor-neighbour-unresolved",
    "doctor-nft-policy",
    "doctor-iptables-",
    "doctor-no-route-out",
    "doctor-packet-too-big",
    "doctor-settings-odd",
    "doctor-settings-backed",
    "doctor-settings-ports",
    "doctor-udp-send-buffer",
    "doctor-udp-no-port",
    "doctor-udp-input-errors",
    "doctor-tcp-options",
    "doctor-tcp-keepalive",
    "doctor-tcp-retransmits",
    "doctor-tcp-zero-window",
    "doctor-syn-retransmits",
    "doctor-qdisc-pfifo",
    "doctor-qdisc-htb-class",
    "doctor-qdisc-standing",
    "doctor-application-slow-beside-throttled",
    "doctor-application-not-scheduled",
    "doctor-application-busy-thread",
    "doctor-application-shut-window",
];

/// What all guests of a run share.
struct Lab {
    folder: PathBuf,
    system: Vec<u8>,
    accelerator: Accelerator,
    limit: Duration,
}

impl Lab {
    /// Builds the guests' programs and finds out how guests run here, by a trial boot of `kernel`.
    fn new(kernel: &Kernel, more_tools: &[String], limit: Duration) -> Result<Self> {
        let binaries = Binaries::build()?;
        let folder = workspace::target().join("vm/guests");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let bare = folder.join("bare.cpio");
        fs::write(&bare, initramfs::bare(&binaries)?)?;
        let accelerator = qemu::accelerator(&kernel.image, &bare)?;
        println!("guests run with {accelerator:?}");
        Ok(Self { folder, system: initramfs::system(&binaries, more_tools)?, accelerator, limit })
    }

    /// The command that runs the scenarios inside a guest. Emulation makes a flood of full size take minutes.
    fn scenarios(&self, arguments: &[String]) -> Vec<String> {
        const EMULATED_FLOOD: &str = "--flood=100000";
        let mut command =
            ["/netdrop/netdrop-tests", "--netdrop", "/netdrop/netdrop"].map(str::to_owned).to_vec();
        if self.accelerator == Accelerator::Tcg && !arguments.iter().any(|word| word.starts_with("--flood")) {
            command.push(EMULATED_FLOOD.to_owned());
            command.push(format!("--without={}", PROVEN_ONCE.join(",")));
        }
        command.extend(arguments.iter().cloned());
        command
    }

    /// Boots one kernel with a command; its console's lines go to `show`. Its log is named by the kernel and `suffix`.
    fn run(
        &self,
        kernel: &Kernel,
        suffix: &str,
        command: &[String],
        mut show: impl FnMut(&str),
    ) -> Result<Outcome> {
        let mut initramfs = self.system.clone();
        if let Some(folder) = &kernel.modules {
            let modules = modules::select(folder)?;
            if !modules.missing.is_empty() {
                show(&format!("note: this kernel has no {}", modules.missing.join(", ")));
            }
            initramfs.extend(initramfs::modules(&modules)?);
        }
        initramfs.extend(initramfs::command(command)?);
        let path = self.folder.join(format!("{}{suffix}.cpio", kernel.name));
        fs::write(&path, initramfs).with_context(|| format!("cannot write {}", path.display()))?;
        let outcome = qemu::boot(&kernel.image, &path, self.accelerator, self.limit, show);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        let outcome = outcome?;
        let log = self.folder.join(format!("{}{suffix}.log", kernel.name));
        fs::write(&log, outcome.console.join("\n"))
            .with_context(|| format!("cannot write {}", log.display()))?;
        Ok(outcome)
    }
}

/// `cargo xtask vm`: one guest. Words that begin with a dash are for the scenarios, anything else is a command.
pub fn one(kernel: &str, more_tools: &[String], arguments: &[String], limit: Duration) -> Result<ExitCode> {
    let kernel = kernels::find(kernel)?;
    if let Err(error) = netdevsim::ensure(&kernel) {
        println!("note: the guest has no netdevsim: {error:#}");
    }
    let lab = Lab::new(&kernel, more_tools, limit)?;
    let command = match arguments.first() {
        Some(first) if !first.starts_with('-') => arguments.to_vec(),
        _ => lab.scenarios(arguments),
    };
    let outcome = lab.run(&kernel, "", &command, |line| println!("{line}"))?;
    println!("{}: {:.1} s", kernel.name, outcome.time.as_secs_f64());
    match outcome.exit {
        Ok(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Err(why) => anyhow::bail!("{}: {why}", kernel.name),
    }
}
