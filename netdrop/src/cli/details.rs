//! The flags that say what is read of each drop.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use netdrop_common::SNAPLEN_MAX;

use crate::probe::Attach;
use crate::units::parse_size;

/// What is read of each drop, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Details")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that stands for itself")]
pub struct Details {
    /// Details per second of each site, reason, device, namespace and protocol on each CPU; 0: counts alone
    /// [default: 1000, for a table 10]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Details of every drop
    #[arg(long, conflicts_with = "rate")]
    pub all: bool,
    /// Bytes of the packet that are copied, 64 to 256: what an event in the ring buffer has room for
    #[arg(long, default_value_t = SNAPLEN, value_parser = snaplen, value_name = "BYTES")]
    pub snaplen: u32,
    /// Show the socket of each drop: its state, queues and limits, and who owns it [with --all: only on demand]
    #[arg(long, overrides_with = "no_socket")]
    pub socket: bool,
    /// Leave sockets out
    #[arg(long)]
    pub no_socket: bool,
    /// Show the way through the kernel that led to each drop
    #[arg(long)]
    pub stack: bool,
    /// Show the task that ran on the CPU: it worked on the packet, and need not have to do with it
    #[arg(long)]
    pub cpu_task: bool,
    /// Name the rules that dropped (nftables, iptables, tc, XDP), by their counters before and after and by the hooks in
    /// the drops' call chains: runs nft and iptables-save in each network namespace
    #[arg(long)]
    pub rules: bool,
    /// Show what hardware drops, also where no device can tell yet [default: where one can when netdrop starts]. It tells of
    /// traps that are set to it: devlink trap set DEVICE trap NAME action trap
    #[arg(long, overrides_with = "no_hardware")]
    pub hardware: bool,
    /// Leave the hardware's drops out
    #[arg(long)]
    pub no_hardware: bool,
    /// Don't ask the doctor what explains the drops (netdrop doctor): no counters are read beside
    #[arg(long)]
    pub no_doctor: bool,
    /// Follow TCP's own events too: segments sent again, resets, ends of connections, round-trip times (netdrop tcp tells more)
    #[arg(long)]
    pub tcp: bool,
    /// Take source lines from this file, which must be of the running kernel's build [default: looked for where
    /// distributions and debuginfod put it]
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// Size of each CPU's ring buffer, as in 8M [default: 1M, with --all 2M; less on many CPUs]
    #[arg(long, value_parser = ring_size, value_name = "SIZE")]
    pub ring_size: Option<u32>,
    /// How to attach
    #[arg(long, value_enum, default_value_t = AttachName::Auto, hide = true)]
    pub attach: AttachName,
    /// What the eBPF program logs: 0 (nothing) to 5
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=5), hide = true)]
    pub ebpf_log: u8,
}

/// Nothing is asked for.
impl Default for Details {
    fn default() -> Self {
        Self {
            rate: None,
            all: false,
            snaplen: SNAPLEN,
            socket: false,
            no_socket: false,
            stack: false,
            cpu_task: false,
            rules: false,
            hardware: false,
            no_hardware: false,
            no_doctor: false,
            tcp: false,
            vmlinux: None,
            ring_size: None,
            attach: AttachName::Auto,
            ebpf_log: 0,
        }
    }
}

/// Bytes of the packet, unless `--snaplen` says otherwise.
const SNAPLEN: u32 = 96;

/// Ways to attach.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AttachName {
    Auto,
    TpBtf,
    Raw,
}

impl From<AttachName> for Attach {
    fn from(name: AttachName) -> Self {
        match name {
            AttachName::Auto => Self::Auto,
            AttachName::TpBtf => Self::TpBtf,
            AttachName::Raw => Self::Raw,
        }
    }
}

fn snaplen(text: &str) -> Result<u32, String> {
    const LEAST: u32 = 64;
    match text.parse() {
        Ok(bytes @ LEAST..=SNAPLEN_MAX) => Ok(bytes),
        _ => Err(format!("write a number of bytes, {LEAST} to {SNAPLEN_MAX}")),
    }
}

fn ring_size(text: &str) -> Result<u32, String> {
    const LEAST: u32 = 4 << 10;
    const MOST: u32 = 512 << 20;
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(bytes) {
        Ok(bytes @ LEAST..=MOST) => Ok(bytes),
        _ => Err("write a size from 4K to 512M, as in 1M or 8M".into()),
    }
}
