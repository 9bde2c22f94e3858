//! `netdrop tcp retransmits`.

use clap::Args;

use super::super::Exit;
use super::shared::{Shared, Story, TcpFormat};
use crate::output::{Clock, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::by::{By, Dimension};
use crate::tcp::retransmits::{Plan, Table, Text, csv};

/// What people ask for most.
const EXAMPLES: &str = "\
Types: rto (the retransmission timer), fast (duplicate or selective acknowledgements), tlp (tail loss probe), syn, syn-ack.

Examples:
  netdrop tcp retransmits --why
  netdrop tcp retransmits --by remote,type --duration 1m
  netdrop tcp retransmits --dport 443 --format text";

/// `netdrop tcp retransmits`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Retransmits {
    #[command(flatten)]
    shared: Shared,
    /// What rows are told apart by [default: flow]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "…", help_heading = "Output")]
    by: Vec<Dimension>,
    /// Say for each flow why: follow this host's drops too, and join them by addresses and ports
    #[arg(long, help_heading = "Output")]
    why: bool,
}

impl Retransmits {
    fn plan(&self) -> Plan {
        let by: By = self.by.iter().copied().collect();
        let by = if self.by.is_empty() { Plan::default().by } else { by };
        Plan { by, why: self.why }
    }
}

impl Story for Retransmits {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn wanted(&self) -> Wanted {
        Wanted { retransmits: true, ..Wanted::default() }
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(self.plan(), view))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(self.plan(), Clock::local(), color))
    }

    fn csv(&self) -> Option<Box<dyn Output>> {
        Some(Box::new(csv()))
    }

    fn with_drops(&self) -> bool {
        self.why
    }

    fn check_usage(&self) -> Result<(), Exit> {
        if self.why && !self.plan().by.has(Dimension::Flow) {
            return Err(Exit::Usage("--why tells of each flow: leave --by out, or add flow to it".into()));
        }
        if self.why && self.shared.format == Some(TcpFormat::Csv) {
            return Err(Exit::Usage("--why has no CSV: its lines are events; take --format text".into()));
        }
        Ok(())
    }
}
