//! The project's own chores: `cargo xtask --help`.

mod bench;
mod dist;
mod ebpf;
mod linking;
mod manifest;
mod packages;
mod tally;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the eBPF object that is committed beside its loader
    Ebpf {
        /// Build nothing new: fail unless the committed object belongs to the sources
        #[arg(long)]
        check: bool,
    },
    /// Install what the tests need, then run them all
    Test(test::Options),
    /// Build the static release binary and check its size
    Dist,
    /// Measure what netdrop costs, beside bpftrace and perf; needs root and a quiet machine
    Bench(bench::Options),
    /// Run the scenarios, or any command, in a virtual machine of another kernel
    Vm {
        /// A series (5.10, 6.1, 6.12, 6.18, 7) or the path of a kernel image
        #[arg(long, default_value = "6.12")]
        kernel: String,
        /// Further tools of this machine that the guest gets, such as bpftrace
        #[arg(long = "with", value_name = "TOOL", value_delimiter = ',')]
        more_tools: Vec<String>,
        /// Seconds until the guest is given up
        #[arg(long, default_value_t = vm::LIMIT_SECONDS)]
        timeout: u64,
        /// For the scenarios (`--filter udp`), or a command that the guest runs instead (`netdrop check`)
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    run(Cli::parse().task).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Ebpf { check: false } => ebpf::build()?,
        Task::Ebpf { check: true } => drop(ebpf::check()?),
        Task::Test(options) => return test::run(&options),
        Task::Dist => dist::run()?,
        Task::Bench(options) => return bench::run(&options),
        Task::Vm { kernel, more_tools, timeout, arguments } => {
            return vm::one(&kernel, &more_tools, &arguments, Duration::from_secs(timeout));
        }
    }
    Ok(ExitCode::SUCCESS)
}
