//! `netdrop tcp`: one file a subcommand, and what they have in common.

mod capture;
mod filter;
mod life;
mod resets;
mod retransmits;
mod rtt;
mod shared;
mod states;

pub use capture::TcpCapture;
use clap::{Args, Subcommand};
use shared::Story;

/// `netdrop tcp`.
#[derive(Debug, Args)]
pub struct Tcp {
    #[command(subcommand)]
    about: About,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
enum About {
    /// Segments that TCP sent again, by what made it do so; --why joins them with this host's drops
    Retransmits(retransmits::Retransmits),
    /// Resets sent and received, and why
    Resets(resets::Resets),
    /// A line for each connection that ends: who, with whom, how long, how much, how well, how it ended
    Life(life::Life),
    /// Round-trip times: histogram and percentiles, counted in the kernel
    Rtt(rtt::Rtt),
    /// Changes of state and the time spent in each; queues of listeners, TIME_WAIT, ports in use
    States(states::States),
}

impl Tcp {
    /// Tells it until a limit, a signal or the end of the output.
    pub fn run(self) -> anyhow::Result<()> {
        match self.about {
            About::Retransmits(retransmits) => retransmits.run(),
            About::Resets(resets) => resets.run(),
            About::Life(life) => life.run(),
            About::Rtt(rtt) => rtt.run(),
            About::States(states) => states.run(),
        }
    }
}
