//! netdrop beside the programs that it works with: a terminal, a browser, Prometheus, an OTLP receiver, systemd. These run on
//! this machine's kernel alone: what differs between kernels is the scenarios' part.

mod browser;
mod compared_runs;
use netdrop_tests::daemon;
mod html_report;
mod inject;
mod made_up;
mod otlp;
mod prometheus;
mod rules;
mod sandbox;
mod serve;
mod status_page;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use netdrop_tests::command::Arguments;
use netdrop_tests::scenario::Case;

/// Tests of netdrop beside the programs that it works with. Needs root; touches nothing but namespaces of its own.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    run: Arguments,
}

fn main() -> ExitCode {
    Command::parse().run.run("netdrop-peers", all())
}

/// All cases, in the order they run: one file a peer, `cases()` in each.
fn all() -> Vec<Case> {
    let tables = [
        terminal::cases(),
        html_report::cases(),
        status_page::cases(),
        prometheus::cases(),
        rules::cases(),
        otlp::cases(),
        serve::cases(),
        sandbox::cases(),
        compared_runs::cases(),
    ];
    tables.into_iter().flatten().collect()
}
