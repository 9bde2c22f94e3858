//! `netdrop report`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::print;
use super::progress::Progress;
use crate::aggregate::{By, Dimension};
use crate::daemon::Terminal;
use crate::model::Timestamp;
use crate::output::{Clock, Color, Json, Output, Table, Text, View};
use crate::recording::{Lines, RecordingError, Replay, Unended, Window, in_order, sum};
use crate::units::thousands;

const EXAMPLES: &str = "\
Examples:
  netdrop watch --format json --output drops.jsonl.zst
  netdrop report drops.jsonl.zst
  netdrop report --by src,port --since 2026-11-22T08:00 drops.jsonl*";

/// `netdrop report`.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// Recordings (watch --format json --output FILE), - for standard input; rotated files in any order, zstd or plain
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the rows tell apart
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIMENSION,…",
          default_values_t = [Dimension::Site, Dimension::Reason, Dimension::Device, Dimension::Netns, Dimension::Proto])]
    by: Vec<Dimension>,
    /// Rows for lifecycle drops too, which a table folds into one line
    #[arg(long)]
    all_classes: bool,
    /// How the totals are written
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    format: ReportFormat,
    /// Only what was recorded from this time on, as in 2026-11-22T08:00 (local) or 2026-11-22T07:00:00Z
    #[arg(long, value_parser = time, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was recorded before this time
    #[arg(long, value_parser = time, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// The table that watch ends with
    Table,
    /// The same as remarks, as watch --format text ends with them
    Text,
    /// One JSON object, as watch --format json ends with it (watch --schema describes it)
    Json,
}

impl Report {
    /// Reads all recordings and prints their sum.
    pub fn run(self) -> anyhow::Result<()> {
        let by: By = self.by.iter().copied().collect();
        let mut replay = Replay::new(by, Window { since: self.since, until: self.until });
        for parts in in_order(&self.files) {
            for part in &parts {
                read(part, &mut replay)?;
            }
            let reach = match replay.finish()? {
                None => continue,
                Some(Unended::Summary(last)) => format!("up to its last summary, {}", local(last)),
                Some(Unended::Details) => "that its details stand for".into(),
            };
            let name = parts.last().map_or(Path::new("-"), PathBuf::as_path).display();
            eprintln!("netdrop: {name}: the recording has no end: counts are those {reach}");
        }
        let runs = replay.into_summaries();
        if runs.is_empty() {
            eprintln!("netdrop: nothing was recorded there");
        }
        let mut out = Vec::new();
        self.output().end(&sum(runs), &mut out);
        print(&out)
    }

    fn table(&self, view: View) -> Table {
        let table = Table::new(view);
        if self.all_classes { table.unfolded() } else { table }
    }

    fn output(&self) -> Box<dyn Output> {
        /// A pipe has no width: every column is shown whole.
        const ANY_WIDTH: usize = 1000;
        let on_terminal = io::stdout().is_terminal();
        let variable = |name| std::env::var_os(name);
        let color =
            self.color.enabled(on_terminal, variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
        match self.format {
            ReportFormat::Table if on_terminal => Box::new(self.table(Terminal::new(color).view())),
            ReportFormat::Table => Box::new(self.table(View { width: ANY_WIDTH, height: usize::MAX, color })),
            ReportFormat::Text => Box::new(Text::new(Clock::local(), color)),
            ReportFormat::Json => Box::new(Json::new()),
        }
    }
}

/// Reads one file to its end; says so if the end is missing.
fn read(path: &Path, replay: &mut Replay) -> anyhow::Result<()> {
    let (name, input, size) = open(path)?;
    let mut lines = Lines::new(&name, Progress::new(input, &name, size))?;
    while let Some(line) = lines.next_line()? {
        replay.take(&line)?;
    }
    if let Some(cut) = lines.cut() {
        eprintln!(
            "netdrop: {name}: the last line is cut short and left out: line {}, {} bytes from byte {} on",
            cut.line,
            thousands(cut.bytes as u64),
            cut.offset
        );
    }
    Ok(())
}

/// The file, its name and its size where it has one.
fn open(path: &Path) -> anyhow::Result<(String, Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok(("standard input".into(), Box::new(io::stdin().lock()), None));
    }
    let file = path.display().to_string();
    let opened = File::open(path).and_then(|opened| Ok((opened.metadata()?, opened)));
    let (metadata, opened) = opened.map_err(|error| RecordingError::Read { file: file.clone(), error })?;
    Ok((file, Box::new(opened), metadata.is_file().then_some(metadata.len())))
}

fn local(time: Timestamp) -> String {
    let mut text = Vec::new();
    Clock::local().push(time, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn time(text: &str) -> Result<Timestamp, String> {
    let local = || text.parse::<jiff::civil::DateTime>()?.to_zoned(jiff::tz::TimeZone::system());
    let time = text.parse::<jiff::Timestamp>().or_else(|_| local().map(|zoned| zoned.timestamp()));
    let nanoseconds = time.ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    nanoseconds
        .map(Timestamp)
        .ok_or_else(|| "write a time, as in 2026-11-22T08:00 or 2026-11-22T07:00:00Z".into())
}
