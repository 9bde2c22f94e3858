//! `netdrop tcp rtt`.

use clap::Args;

use super::super::Exit;
use super::shared::{Shared, Story, TcpFormat};
use crate::output::{Clock, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::rtt::{By, Csv, Dimension, Table, Text};

/// What people ask for most.
const EXAMPLES: &str = "\
Counted are the acknowledgements of what this host sends: a host that only receives measures nothing.

Examples:
  netdrop tcp rtt --by remote --dport 443
  netdrop tcp rtt --heatmap --interval 500ms
  netdrop tcp rtt --by route,device --duration 1m --format text
  netdrop tcp rtt --srtt --sample --host 10.0.0.0/8";

/// `netdrop tcp rtt`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rtt {
    #[command(flatten)]
    shared: Shared,
    /// What histograms are told apart by [default: nothing, one of all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "…", help_heading = "Output")]
    by: Vec<Dimension>,
    /// What each acknowledgement of new data tells; the default
    #[arg(long, help_heading = "Output")]
    sample: bool,
    /// The smoothed time, as it is at each of these acknowledgements; with --sample both
    #[arg(long, help_heading = "Output")]
    srtt: bool,
    /// A heat map over time instead of a histogram, on a terminal that is wide enough
    #[arg(long, help_heading = "Output")]
    heatmap: bool,
}

impl Rtt {
    fn by(&self) -> By {
        self.by.iter().copied().collect()
    }
}

impl Story for Rtt {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            rtt_smoothed: self.srtt,
            rtt_samples: self.sample || !self.srtt,
            rtt_by: self.by().bits(),
            ..Wanted::default()
        }
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(view, self.by(), self.heatmap))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(self.by(), Clock::local(), color))
    }

    fn csv(&self) -> Option<Box<dyn Output>> {
        Some(Box::new(Csv))
    }

    fn check_usage(&self) -> Result<(), Exit> {
        let usage = |message: &str| Err(Exit::Usage(message.into()));
        if self.heatmap && self.shared.format() != TcpFormat::Table {
            return usage(
                "--heatmap draws on a terminal: elsewhere leave it out, each interval's lines tell the same",
            );
        }
        if self.shared.count.is_some() {
            return usage(
                "--count counts events, and round-trip times are counted in the kernel: end by --duration",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use netdrop_common::tcp::by;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        rtt: Rtt,
    }

    fn rtt(flags: &str) -> Rtt {
        Line::try_parse_from(std::iter::once("rtt").chain(flags.split_whitespace())).unwrap().rtt
    }

    #[rstest::rstest]
    #[case("", false, true, 0)]
    #[case("--sample", false, true, 0)]
    #[case("--srtt", true, false, 0)]
    #[case("--srtt --sample --by remote,remote-port", true, true, by::REMOTE | by::REMOTE_PORT)]
    #[case("--by route --by owner", false, true, by::ROUTE | by::OWNER)]
    fn what_the_kernel_is_asked_for(
        #[case] flags: &str,
        #[case] smoothed: bool,
        #[case] samples: bool,
        #[case] rtt_by: u32,
    ) {
        let wanted = rtt(flags).wanted();
        let expected = Wanted { rtt_smoothed: smoothed, rtt_samples: samples, rtt_by, ..Wanted::default() };
        assert_eq!(wanted, expected);
    }

    #[rstest::rstest]
    #[case("--heatmap --format text", false)]
    #[case("--heatmap --format table", true)]
    #[case("--count 3", false)]
    #[case("--duration 3s", true)]
    fn what_makes_no_sense_is_refused(#[case] flags: &str, #[case] is_fine: bool) {
        assert_eq!(rtt(flags).check_usage().is_ok(), is_fine);
    }
}
