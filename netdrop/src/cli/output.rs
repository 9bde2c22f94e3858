//! The flags that say what is shown and where it goes.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::aggregate::{By, Dimension};
use crate::daemon::{Format, Outlet, Outlets, Sink, Terminal};
use crate::kernel::host;
use crate::kernel::identity::Identity;
use crate::output::{
    Clock, Color, Destination, Dropwatch, Json, Limit, Machine, PacketFiles, Pcapng, RotatingFile, Rotation,
    Table, Text,
};
use crate::units::{parse_duration, parse_size};

/// How drops are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// A table that refreshes in place; on a terminal
    Table,
    /// A line a drop, a summary an interval
    Text,
    /// One JSON object a line (`--schema` describes them)
    Json,
    /// dropwatch's summary lines
    Dropwatch,
}

/// Output flags.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// How drops are written [default: table on a terminal, else text]
    #[arg(short, long, value_enum)]
    pub format: Option<FormatName>,
    /// What the rows of tables and summaries tell apart
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIMENSION,…",
          default_values_t = [Dimension::Site, Dimension::Reason, Dimension::Device, Dimension::Netns, Dimension::Proto])]
    by: Vec<Dimension>,
    /// Rows for lifecycle drops too, which a table folds into one line unless --class or --reason is given
    #[arg(long)]
    all_classes: bool,
    /// Time between summaries, as in 100ms, 5s, 1m
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME")]
    pub interval: Duration,
    /// Write into this file instead of standard output; an existing one is replaced. Compressed where the name ends in .zst
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Turn to a new output file at this size or after this time, as in 100M, 1h; an existing one is continued
    #[arg(long, value_parser = limit, requires = "output", group = "rotation", value_name = "WHEN")]
    rotate: Option<Limit>,
    /// Write the packet of each detailed drop into this file as well, for Wireshark (pcapng)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Turn to a new pcapng file at this size or after this time, as in 100M, 5m; an existing one is moved aside
    #[arg(long, value_parser = limit, requires = "pcap", group = "rotation", value_name = "WHEN")]
    pcap_rotate: Option<Limit>,
    /// How many older files stay, as FILE.1 to FILE.N
    #[arg(long, default_value_t = 5, requires = "rotation", value_name = "N")]
    keep: u32,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

impl OutputFlags {
    /// What the rows tell apart.
    pub fn by(&self) -> By {
        self.by.iter().copied().collect()
    }

    /// The format that was asked for or suits the place.
    pub fn format_name(&self) -> FormatName {
        self.format.unwrap_or(if self.on_terminal() { FormatName::Table } else { FormatName::Text })
    }

    /// Whether people look at it.
    pub fn on_terminal(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }

    /// Whether packets would go into the file of the lines.
    pub fn is_one_file_for_both(&self) -> bool {
        self.output.is_some() && self.output == self.pcap
    }

    /// Whether packets are wanted.
    pub fn has_packets(&self) -> bool {
        self.pcap.is_some()
    }

    /// Everything that is written, and where it goes. `chosen` says that the filter names reasons or classes.
    pub fn outlets(&self, identity: &Identity, chosen: bool) -> anyhow::Result<Outlets> {
        let start = |output| Sink::start(output).context("can't start the thread that writes");
        let mut outlets = vec![Outlet::new(self.format(chosen), start(self.open()?)?)];
        if let Some(path) = &self.pcap {
            let keep = self.pcap_rotate.map(|_| self.keep);
            let packets = Pcapng::new(Machine::of_release(&identity.features.release), self.pcap_rotate);
            let files = Box::new(PacketFiles::open(path, keep)?);
            outlets.push(Outlet::new(Format::Lines(Box::new(packets)), start(files)?));
        }
        Ok(Outlets::new(outlets))
    }

    /// The format itself. `chosen` says that the filter names reasons or classes: then all are shown.
    fn format(&self, chosen: bool) -> Format {
        match self.format_name() {
            FormatName::Table => {
                let terminal = Terminal::new(self.has_color());
                let table = Table::new(terminal.view());
                let table = if chosen || self.all_classes { table.unfolded() } else { table };
                Format::Live(Box::new(table), terminal)
            }
            FormatName::Text => Format::Lines(Box::new(Text::new(Clock::local(), self.has_color()))),
            FormatName::Json => Format::Lines(Box::new(Json::new().on(host::read(Path::new("/"))))),
            FormatName::Dropwatch => Format::Lines(Box::new(Dropwatch)),
        }
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(self.on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }

    /// The file or standard output.
    fn open(&self) -> anyhow::Result<Box<dyn Destination>> {
        let Some(path) = &self.output else { return Ok(Box::new(unbuffered_stdout()?)) };
        let rotation = self.rotate.map(|limit| Rotation { limit, keep: self.keep });
        Ok(Box::new(RotatingFile::open(path, rotation)?))
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    let size = parse_size(text).map(Limit::Size);
    let either = size.or_else(|_| parse_duration(text).map(Limit::Age));
    either.map_err(|_| "write a size, as in 100M or 1G, or a time, as in 5m or 1h".into())
}

/// Standard output without Rust's line buffer: what is handed over is whole lines in large chunks already.
pub fn unbuffered_stdout() -> anyhow::Result<std::fs::File> {
    use std::os::fd::AsFd as _;
    let fd = io::stdout().as_fd().try_clone_to_owned().context("standard output is closed")?;
    Ok(fd.into())
}

/// Writes to standard output; a reader that has gone is no failure.
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can't write to standard output"),
    }
}
