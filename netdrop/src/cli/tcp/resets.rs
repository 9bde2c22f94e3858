//! `netdrop tcp resets`.

use clap::Args;

use super::shared::{Shared, Story};
use crate::output::{Clock, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::by::{By, Dimension};
use crate::tcp::resets::{Table, Text, by_default, csv};

/// What people ask for most.
const EXAMPLES: &str = "\
The kernel gives reasons from 6.10 on; before, what can be told is derived from the state, and stands in brackets.
A firewall that rejects with a reset makes its own packet: such resets are in no count here.

Examples:
  netdrop tcp resets
  netdrop tcp resets --by owner,type --port 443
  netdrop explain SK_RST_REASON_TCP_ABORT_ON_CLOSE";

/// `netdrop tcp resets`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Resets {
    #[command(flatten)]
    shared: Shared,
    /// What rows are told apart by [default: type, that is direction, reason and state]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "…", help_heading = "Output")]
    by: Vec<Dimension>,
}

impl Resets {
    fn by(&self) -> By {
        if self.by.is_empty() { by_default() } else { self.by.iter().copied().collect() }
    }
}

impl Story for Resets {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn wanted(&self) -> Wanted {
        Wanted { resets: true, ..Wanted::default() }
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(self.by(), view))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(self.by(), Clock::local(), color))
    }

    fn csv(&self) -> Option<Box<dyn Output>> {
        Some(Box::new(csv()))
    }
}
