//! What the subcommands of `netdrop tcp` have in common: flags, formats, the run.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::Exit;
use super::super::details::AttachName;
use super::filter::TcpFilters;
use crate::output::{Color, Output, Redrawn, View};
use crate::tcp::Wanted;
use crate::units::parse_duration;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TcpFormat {
    /// A table that refreshes in place; on a terminal
    Table,
    /// A line an event, a summary an interval
    Text,
    /// One JSON object a line (`netdrop watch --schema` describes them)
    Json,
    /// Comma-separated values (RFC 4180), a line an event
    Csv,
}

/// Flags of all of them.
#[derive(Debug, Args)]
pub struct Shared {
    #[command(flatten)]
    pub filters: TcpFilters,
    /// How it is written [default: table on a terminal, else text]
    #[arg(short, long, value_enum, help_heading = "Output")]
    pub format: Option<TcpFormat>,
    /// Time between summaries, as in 100ms, 5s, 1m
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME", help_heading = "Output")]
    pub interval: Duration,
    /// Write into this file instead of standard output; an existing one is replaced. Compressed where the name ends in .zst
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,
    /// End after this time, as in 30s, 5m
    #[arg(short, long, value_parser = parse_duration, value_name = "TIME", help_heading = "Limits")]
    pub duration: Option<Duration>,
    /// End after this many events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    pub count: Option<u64>,
    /// Details per second of each kind of event on each CPU; all are counted [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Details")]
    pub rate: Option<u32>,
    /// Details of every event
    #[arg(long, conflicts_with = "rate", help_heading = "Details")]
    pub all: bool,
    /// How to attach
    #[arg(long, value_enum, default_value_t = AttachName::Auto, hide = true)]
    pub attach: AttachName,
}

impl Shared {
    /// The format that was asked for or suits the place.
    pub fn format(&self) -> TcpFormat {
        let on_terminal = self.output.is_none() && io::stdout().is_terminal();
        self.format.unwrap_or(if on_terminal { TcpFormat::Table } else { TcpFormat::Text })
    }
}

/// What one subcommand tells.
pub trait Story: Sized {
    /// Its flags.
    fn shared(&self) -> &Shared;
    /// The format that was asked for or suits the place.
    fn format(&self) -> TcpFormat {
        self.shared().format()
    }
    /// What is left out in the kernel.
    fn filters(&self) -> crate::filter::Wanted {
        self.shared().filters.wanted()
    }
    /// What is wanted of the kernel.
    fn wanted(&self) -> Wanted;
    /// The table for a terminal.
    fn table(&self, view: View) -> Box<dyn Redrawn>;
    /// Lines for a pipe.
    fn text(&self, color: bool) -> Box<dyn Output>;
    /// Comma-separated values, where there are events to write.
    fn csv(&self) -> Option<Box<dyn Output>> {
        None
    }
    /// Whether drops are followed as well.
    fn with_drops(&self) -> bool {
        false
    }
    /// What can't be asked for together.
    fn check_usage(&self) -> Result<(), Exit> {
        Ok(())
    }

    /// Tells it until a limit, a signal or the end of the output.
    fn run(self) -> anyhow::Result<()> {
        self.check_usage()?;
        anyhow::bail!("not wired up yet")
    }
}
