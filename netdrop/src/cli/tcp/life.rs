//! `netdrop tcp life`.

use std::time::SystemTime;

use clap::Args;

use super::shared::{Shared, Story, TcpFormat};
use crate::filter::Wanted as Filters;
use crate::model::Timestamp;
use crate::output::{Clock, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::tcp::life::{Table, Text, csv};

/// A line for each connection that ends.
///
/// On a terminal the lines scroll, in the columns that fit it; in a pipe they have all columns and exact numbers. LOCAL > REMOTE
/// was opened from here, < from the other side, ? before netdrop began to look: then >= says how long it has been seen.
/// SENT and RECEIVED are payload, each byte counted once.
#[derive(Debug, Args)]
pub struct Life {
    /// Local ports or ranges (--sport), as in tcplife
    #[arg(
        short = 'L',
        long,
        value_name = "N[-M],…",
        value_delimiter = ',',
        conflicts_with = "sport",
        help_heading = "Filters (a list: any of it; several filters: all; --not-…: all but these)"
    )]
    local_port: Vec<String>,
    /// Remote ports or ranges (--dport), as in tcplife
    #[arg(
        short = 'D',
        long,
        value_name = "N[-M],…",
        value_delimiter = ',',
        conflicts_with = "dport",
        help_heading = "Filters (a list: any of it; several filters: all; --not-…: all but these)"
    )]
    remote_port: Vec<String>,
    /// --format csv: all there is, with a header (RFC 4180)
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    csv: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Story for Life {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn format(&self) -> TcpFormat {
        if self.csv { TcpFormat::Csv } else { self.shared.format() }
    }

    /// An end is told of from this side: its source is local.
    fn filters(&self) -> Filters {
        let mut filters = self.shared.filters.wanted();
        filters.source_port.only.extend(self.local_port.iter().cloned());
        filters.destination_port.only.extend(self.remote_port.iter().cloned());
        filters
    }

    fn wanted(&self) -> Wanted {
        Wanted { closes: true, ..Wanted::default() }
    }

    fn table(&self, view: View) -> Box<dyn Redrawn> {
        Box::new(Table::new(view, Clock::local(), now()))
    }

    fn text(&self, color: bool) -> Box<dyn Output> {
        Box::new(Text::new(color, Clock::local(), now()))
    }

    fn csv(&self) -> Option<Box<dyn Output>> {
        Some(Box::new(csv()))
    }
}

/// From when on connections are watched, until a summary says it better.
fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
