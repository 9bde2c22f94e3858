//! The project's own chores: `cargo xtask --help`.

mod ebpf;
mod manifest;
mod toolchain;
mod workspace;

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
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Ebpf { check: false } => ebpf::build(),
        Task::Ebpf { check: true } => ebpf::check().map(drop),
    }
}
