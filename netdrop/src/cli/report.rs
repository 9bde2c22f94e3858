//! `netdrop report`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::output::print;
use super::progress::Progress;
use crate::aggregate::{By, Dimension};
use crate::compare::compare;
use crate::daemon::Terminal;
use crate::model::{Drop, Explanation, Host, Summary, Timestamp};
use crate::output::{
    About, Clock, Color, Csv, FlameGraph, FoldedStacks, Histogram, Json, Output, Page, Recorded, Stacks,
    Table, Text, View, comparison_csv, comparison_json, comparison_lines, remarks, sentence,
};
use crate::recording::{Lines, Listener, RecordingError, Replay, Unended, Window, in_order, sum};
use crate::units::{parse_duration, thousands};

const EXAMPLES: &str = "\
Examples:
  netdrop watch --format json --stack --output drops.jsonl.zst
  netdrop report drops.jsonl.zst
  netdrop report --by src,port --since 2026-11-22T08:00 drops.jsonl*
  netdrop report --format html --output drops.html drops.jsonl.zst
  netdrop report --format flamegraph --output drops.svg drops.jsonl.zst
Two recordings are compared:
  netdrop run --repeat 5 --recording before.jsonl -- ./load-test.sh
  netdrop run --repeat 5 --recording after.jsonl -- ./load-test.sh
  netdrop report before.jsonl after.jsonl";

/// What the kernel counts by.
const BY: [Dimension; 5] =
    [Dimension::Site, Dimension::Reason, Dimension::Device, Dimension::Netns, Dimension::Proto];
/// What is the same from boot to boot, and from host to host.
const COMPARED_BY: [Dimension; 2] = [Dimension::Function, Dimension::Reason];
/// A pipe has no width: every column of a table is shown whole.
const ANY_WIDTH: usize = 1000;
/// Columns of a histogram that isn't read on a terminal.
const HISTOGRAM_WIDTH: usize = 120;

/// `netdrop report`.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// A recording (of watch --format json --output FILE, or run --recording FILE), - for standard input, zstd or plain; two to
    /// compare them. Rotated files (FILE FILE.1 FILE.2) are one recording, in any order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the rows tell apart [default: site,reason,device,netns,proto; of a comparison function,reason]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIMENSION,…")]
    by: Vec<Dimension>,
    /// Add several recordings up instead of comparing two
    #[arg(long)]
    sum: bool,
    /// Rows for lifecycle drops too, which a table folds into one line
    #[arg(long)]
    all_classes: bool,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    format: ReportFormat,
    /// The steps of a histogram's course over time, as in 100ms, 5s
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME")]
    interval: Duration,
    /// Write into this file instead of standard output; an existing one is replaced
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
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
    /// Comma-separated values (RFC 4180), a row a line
    Csv,
    /// Functions with their course over time, classes, reasons, flows and owners, as run prints them
    Histogram,
    /// One page that opens offline: timeline, functions, meaning and remedy, packets
    Html,
    /// A flame graph of the call chains of watch --stack, as SVG
    Flamegraph,
    /// Call chains as lines `outer;inner;function count`
    Folded,
}

impl ReportFormat {
    /// Whether its rows are always the same.
    fn has_own_rows(self) -> bool {
        matches!(self, Self::Histogram | Self::Html | Self::Flamegraph | Self::Folded)
    }

    fn name(self) -> String {
        self.to_possible_value().expect("no format is hidden").get_name().to_owned()
    }
}

impl Report {
    /// Reads the recordings; prints one, their sum, or what they differ in.
    pub fn run(self) -> anyhow::Result<()> {
        let recordings = in_order(&self.files);
        if self.format.has_own_rows() && !self.by.is_empty() {
            let name = self.format.name();
            return Err(
                Exit::Usage(format!("--by is for tables: --format {name} has rows of its own")).into()
            );
        }
        match &recordings[..] {
            [before, after] if !self.sum => self.compare([before, after]),
            [_, _, _, ..] if !self.sum => Err(Exit::Usage(format!(
                "these are {} recordings: two are compared; add --sum to add them all up",
                recordings.len()
            ))
            .into()),
            _ => self.report(&recordings),
        }
    }

    /// One recording, or several as one.
    fn report(&self, recordings: &[Vec<PathBuf>]) -> anyhow::Result<()> {
        let mut replay = self.replay(&BY);
        let mut format = self.written_as();
        for parts in recordings {
            read(parts, &mut replay, &mut format)?;
        }
        let hosts = replay.hosts().to_vec();
        let runs = replay.into_summaries();
        if runs.is_empty() {
            eprintln!("netdrop: nothing was recorded there");
        }
        let files: Vec<String> = recordings.iter().map(|parts| name(parts)).collect();
        let about = About { files: &files, hosts: &hosts, runs: runs.len() };
        let mut out = Vec::new();
        format.end(&sum(runs), about, &mut out);
        self.print(&out)
    }

    fn compare(&self, recordings: [&Vec<PathBuf>; 2]) -> anyhow::Result<()> {
        if self.format.has_own_rows() {
            let name = self.format.name();
            let formats = "table, text, json or csv";
            let text =
                format!("two recordings are compared as {formats}; --sum --format {name} adds them up");
            return Err(Exit::Usage(text).into());
        }
        let [before, after] = recordings;
        let (name_before, hosts_before, before) = self.runs(before)?;
        let (name_after, hosts_after, after) = self.runs(after)?;
        let comparison = compare(&before, &after);
        let of = [
            Recorded { name: &name_before, hosts: &hosts_before },
            Recorded { name: &name_after, hosts: &hosts_after },
        ];
        let (width, color) = match self.format {
            ReportFormat::Table if self.on_terminal() => {
                (Terminal::new(false).view().width, self.has_color())
            }
            _ => (ANY_WIDTH, self.has_color()),
        };
        let lines = || comparison_lines(&comparison, of, width, color, !self.all_classes);
        let mut out = Vec::new();
        match self.format {
            ReportFormat::Json => comparison_json(&comparison, of, &mut out),
            ReportFormat::Csv => {
                comparison_csv(&comparison, &mut out);
                eprintln!(
                    "netdrop: {}",
                    sentence(&comparison.verdict, &comparison.before, &comparison.after)
                );
                for remark in remarks(&comparison, of) {
                    eprintln!("netdrop: {remark}");
                }
            }
            ReportFormat::Text => lines().iter().for_each(|line| push_line(&format!("# {line}"), &mut out)),
            _ => lines().iter().for_each(|line| push_line(line, &mut out)),
        }
        self.print(&out)
    }

    /// A recording's name, its machines, and what each of its runs came to.
    fn runs(&self, parts: &[PathBuf]) -> anyhow::Result<(String, Vec<Host>, Vec<Summary>)> {
        let mut replay = self.replay(&COMPARED_BY);
        read(parts, &mut replay, &mut Nobody)?;
        Ok((name(parts), replay.hosts().to_vec(), replay.into_summaries()))
    }

    fn replay(&self, by: &[Dimension]) -> Replay {
        let by: By = if self.by.is_empty() { by } else { &self.by }.iter().copied().collect();
        Replay::new(by, Window { since: self.since, until: self.until })
    }

    fn print(&self, out: &[u8]) -> anyhow::Result<()> {
        match &self.output {
            None => print(out),
            Some(path) => {
                std::fs::write(path, out).with_context(|| format!("can't write {}", path.display()))
            }
        }
    }

    fn on_terminal(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }

    fn table(&self, view: View) -> Table {
        let table = Table::new(view);
        if self.all_classes { table.unfolded() } else { table }
    }

    fn written_as(&self) -> Written {
        let on_terminal = self.on_terminal();
        let color = self.has_color();
        let plain = |output: Box<dyn Output>| Written::Plain(output);
        match self.format {
            ReportFormat::Table if on_terminal => plain(Box::new(self.table(Terminal::new(color).view()))),
            ReportFormat::Table => {
                plain(Box::new(self.table(View { width: ANY_WIDTH, height: usize::MAX, color })))
            }
            ReportFormat::Text => plain(Box::new(Text::new(Clock::local(), color))),
            ReportFormat::Json => plain(Box::<Json>::default()),
            ReportFormat::Csv => plain(Box::new(Csv)),
            ReportFormat::Histogram => {
                let width = if on_terminal { Terminal::new(false).view().width } else { HISTOGRAM_WIDTH };
                let histogram = Histogram::new(width, color, self.interval);
                let histogram = if self.all_classes { histogram.unfolded() } else { histogram };
                Written::Course(Box::new(histogram))
            }
            ReportFormat::Html => Written::Page(Box::default()),
            ReportFormat::Flamegraph => Written::FlameGraph(FlameGraph::default()),
            ReportFormat::Folded => Written::Folded(FoldedStacks::default()),
        }
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(self.on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }
}

/// A format, by what it has to be told.
enum Written {
    /// The end alone.
    Plain(Box<dyn Output>),
    /// Everything that passes by.
    Course(Box<dyn Output>),
    Page(Box<Page>),
    FlameGraph(FlameGraph),
    Folded(FoldedStacks),
}

/// No format writes before the end of a recording.
const NOTHING: &str = "a report is written at its end";

impl Listener for Written {
    fn drop(&mut self, drop: &Drop<'_>, line: &[u8]) {
        let mut out = Vec::new();
        match self {
            Self::Plain(_) => {}
            Self::Course(output) => Output::drop(&mut **output, drop, &mut out),
            Self::Page(page) => Listener::drop(&mut **page, drop, line),
            Self::FlameGraph(graph) => Output::drop(graph, drop, &mut out),
            Self::Folded(folded) => Output::drop(folded, drop, &mut out),
        }
        debug_assert!(out.is_empty(), "{NOTHING}");
    }

    fn summary(&mut self, summary: &Summary) {
        let mut out = Vec::new();
        match self {
            Self::Course(output) => output.summary(summary, &mut out),
            Self::Page(page) => page.summary(summary),
            Self::Plain(_) | Self::FlameGraph(_) | Self::Folded(_) => {}
        }
        debug_assert!(out.is_empty(), "{NOTHING}");
    }

    fn finding(&mut self, finding: &Explanation, line: &[u8]) {
        // Others have it in short, in the end.
        if let Self::Page(page) = self {
            page.finding(finding, line);
        }
    }
}

impl Written {
    fn end(self, end: &Summary, about: About<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Plain(mut output) | Self::Course(mut output) => output.end(end, out),
            Self::Page(page) => page.write(end, about, out),
            Self::FlameGraph(mut graph) => {
                graph.on(about.hosts);
                graph.end(end, out);
                say_what_is_missing(graph.stacks(), end);
            }
            Self::Folded(mut folded) => {
                folded.end(end, out);
                say_what_is_missing(folded.stacks(), end);
            }
        }
    }
}

/// Nobody listens.
struct Nobody;

impl Listener for Nobody {
    fn drop(&mut self, _: &Drop<'_>, _: &[u8]) {}
    fn summary(&mut self, _: &Summary) {}
}

/// What call chains don't tell of.
fn say_what_is_missing(stacks: &Stacks, end: &Summary) {
    let total = stacks.total();
    if stacks.chainless() > 0 {
        let (some, all) = (thousands(stacks.chainless()), thousands(total));
        eprintln!(
            "netdrop: {some} of {all} drops have no call chain and are counted by their function alone: record with --stack"
        );
    }
    let left = end.accounts.passed().saturating_sub(total);
    if left > 0 {
        eprintln!(
            "netdrop: {} more drops are counted, but no sampled detail stands for them",
            thousands(left)
        );
    }
}

/// Reads a recording, the oldest part first; says so where its end is missing.
fn read(parts: &[PathBuf], replay: &mut Replay, listener: &mut dyn Listener) -> anyhow::Result<()> {
    for part in parts {
        read_part(part, replay, listener)?;
    }
    let reach = match replay.finish()? {
        None => return Ok(()),
        Some(Unended::Summary(last)) => format!("up to its last summary, {}", local(last)),
        Some(Unended::Details) => "that its details stand for".into(),
    };
    eprintln!("netdrop: {}: the recording has no end: counts are those {reach}", name(parts));
    Ok(())
}

/// By its youngest part.
fn name(parts: &[PathBuf]) -> String {
    parts.last().map_or(Path::new("-"), PathBuf::as_path).display().to_string()
}

fn push_line(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

/// Reads one file to its end; says so if the end is missing.
fn read_part(path: &Path, replay: &mut Replay, listener: &mut dyn Listener) -> anyhow::Result<()> {
    let (name, input, size) = open(path)?;
    let mut lines = Lines::new(&name, Progress::new(input, &name, size))?;
    while let Some((line, text)) = lines.next_with_text()? {
        replay.tell(&line, text, Some(listener))?;
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
