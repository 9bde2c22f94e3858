//! `netdrop top`.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::Exit;
use super::capture::{Capture, Captured, identify};
use super::details::Details;
use super::filter::Filters;
use super::output::unbuffered_stdout;
use super::progress::Progress;
use crate::aggregate::{Aggregator, By, Dimension};
use crate::daemon::{
    Attending, Format, Fullscreen, Input, Limits, Outlet, Outlets, Plan, Screen, Signals, Sink, SinkError,
    Stop, Terminal, browse, run,
};
use crate::filter::Wanted;
use crate::output::{Clock, Color};
use crate::recording::{Lines, RecordingError, Tape};
use crate::top::Top as View;
use crate::units::parse_duration;

/// Details per second, counter and CPU, unless `--rate` says otherwise: flows, owners and last packets come from them.
const RATE: u32 = 100;
/// What people do most.
const EXAMPLES: &str = "\
Keys: 1-6 and Tab for panes, Enter looks into a row, / filters, s sorts, p pauses, c clears, w records, ? tells of all

Examples:
  netdrop top
  netdrop top --netns web --not-class lifecycle
  netdrop top drops.jsonl.zst";

/// `netdrop top`.
#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// Look at this recording (watch --format json --output FILE) instead: no privileges; ← and → go back and forth in it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
    /// Time between summaries, as in 500ms, 5s
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME", help_heading = "Output")]
    interval: Duration,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Output")]
    color: Color,
    /// Leave the mouse to the terminal, as for selecting text
    #[arg(long, help_heading = "Output")]
    no_mouse: bool,
    #[command(flatten)]
    details: Details,
}

impl Top {
    /// Shows the screen until the user ends it.
    pub fn run(self) -> anyhow::Result<()> {
        self.check_usage()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        match &self.file {
            Some(file) => runtime.block_on(self.browse(file)),
            None => runtime.block_on(self.watch()),
        }
    }

    fn check_usage(&self) -> Result<(), Exit> {
        let usage = |message: &str| Err(Exit::Usage(message.into()));
        if self.file.is_some() && self.filters.wanted() != Wanted::default() {
            return usage(
                "filters are for the kernel, and a recording has gone through them already: leave them out and press /",
            );
        }
        if !io::stdout().is_terminal() {
            return usage(
                "top draws on a terminal, and standard output is none: \
                 use `netdrop watch` or, for a recording, `netdrop report`",
            );
        }
        Ok(())
    }

    async fn browse(&self, file: &Path) -> anyhow::Result<()> {
        let tape = read(file)?;
        if tape.is_empty() {
            return Err(Exit::Usage(format!("{}: nothing was recorded there", file.display())).into());
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let terminal = Terminal::new(self.has_color());
        let signals = Signals::new()?;
        let _fullscreen = self.enter()?;
        let input = Input::start().context("can't read the terminal")?;
        let top = View::playing(terminal.view(), Clock::local(), name, tape);
        browse(top, terminal, input, signals).await.context("can't write to the terminal")
    }

    async fn watch(mut self) -> anyhow::Result<()> {
        // Call chains are of details alone, and looking into a site is what top is for.
        self.details.stack = true;
        let identity = identify(self.details.tcp)?;
        let signals = Signals::new()?;
        let capture = Capture {
            details: &self.details,
            rate: RATE,
            needs_owners: !self.details.no_socket,
            for_daemon: false,
        };
        let captured = capture.attach(identity, &self.filters.wanted(), true)?;
        let ended = {
            let _fullscreen = self.enter()?;
            Box::pin(self.follow(captured, signals)).await?
        };
        match ended.output {
            Ok(()) | Err(SinkError::Closed) => Ok(()),
            Err(error) => Err(error).context("can't write any more"),
        }
    }

    async fn follow(&self, captured: Captured, signals: Signals) -> anyhow::Result<crate::daemon::Ended> {
        let terminal = Terminal::new(self.has_color());
        let sink = Sink::start(unbuffered_stdout()?).context("can't start the thread that draws")?;
        let screen = Screen::new(View::new(terminal.view(), Clock::local()), terminal);
        let outlets = Outlets::new(vec![Outlet::new(Format::Screen(Box::new(screen)), sink)])
            .with_input(Input::start().context("can't read the terminal")?);
        let by: By =
            [Dimension::Site, Dimension::Reason, Dimension::Device, Dimension::Netns, Dimension::Proto]
                .into_iter()
                .collect();
        let (stop, limits) = (Stop::Signals(signals), Limits::default());
        let plan = captured.plan(Aggregator::new(by), outlets, stop, limits, self.interval);
        // Somebody looks on.
        let doctor = plan.doctor.map(Attending::throughout);
        Ok(run(Plan { doctor, ..plan }).await?)
    }

    fn enter(&self) -> anyhow::Result<Fullscreen> {
        Fullscreen::enter(!self.no_mouse)
            .context("can't use this terminal (is TERM set, and a terminal on standard input?)")
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(true, variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }
}

/// All of a recording, or as much as there is room for.
fn read(path: &Path) -> anyhow::Result<Tape> {
    let name = path.display().to_string();
    let opened = File::open(path).and_then(|opened| Ok((opened.metadata()?, opened)));
    let (metadata, opened) = opened.map_err(|error| RecordingError::Read { file: name.clone(), error })?;
    let size = metadata.is_file().then_some(metadata.len());
    let mut lines = Lines::new(&name, Progress::new(opened, &name, size))?;
    let mut tape = Tape::default();
    while let Some(line) = lines.next_line()? {
        tape.take(&line);
    }
    tape.finish();
    Ok(tape)
}
