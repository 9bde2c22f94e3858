//! The outputs of a run, and their common discipline: what finds no room in one of them waits for all.

use std::time::Duration;

use crossterm::event::Event;
use tokio::time::timeout;

use super::input::Input;
use super::recording::Recordings;
use super::screen::Screen;
use super::sink::{Sink, SinkError};
use super::terminal::Terminal;
use crate::doctor::Finding;
use crate::model::tcp::TcpEvent;
use crate::model::{Drop, Summary};
use crate::output::{Output, Redrawn};
use crate::top::Wish;

/// Bytes of output that are handed over at once, about.
const CHUNK: usize = 64 << 10;
/// At the end, a consumer that reads nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A format, and the terminal where it is drawn on one.
pub enum Format {
    /// Lines.
    Lines(Box<dyn Output>),
    /// A live table.
    Live(Box<dyn Redrawn>, Terminal),
    /// The screen of `top`.
    Screen(Box<Screen>),
}

/// One format on its way to where it goes.
pub struct Outlet {
    format: Format,
    sink: Sink,
    chunk: Vec<u8>,
    /// Whether it has: then nothing more is tried with it.
    failed: bool,
}

/// All outputs of a run.
pub struct Outlets {
    all: Vec<Outlet>,
    /// What the user of `top` writes to files meanwhile.
    recordings: Recordings,
    /// What the user does, where that is of interest.
    input: Option<Input>,
}

impl Format {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Lines(output) => Output::drop(output.as_mut(), drop, out),
            Self::Live(table, _) => Output::drop(table.as_mut(), drop, out),
            Self::Screen(screen) => screen.top.drop(drop),
        }
    }

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        match self {
            Self::Lines(output) => output.tcp(event, out),
            Self::Live(table, _) => table.tcp(event, out),
            Self::Screen(screen) => screen.top.tcp(event),
        }
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        match self {
            Self::Lines(output) => output.summary(summary, out),
            Self::Live(table, _) => table.summary(summary, out),
            Self::Screen(screen) => screen.top.summary(summary),
        }
    }

    fn findings(&mut self, findings: &[Finding], out: &mut Vec<u8>) {
        match self {
            Self::Lines(output) => output.findings(findings, out),
            // Shown in short, with the summary.
            Self::Live(..) | Self::Screen(_) => {}
        }
    }

    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        match self {
            Self::Lines(output) => output.end(summary, out),
            Self::Live(table, _) => table.end(summary, out),
            // The screen before it comes back.
            Self::Screen(_) => {}
        }
    }
}

impl Outlet {
    /// `format` goes to `sink`.
    pub fn new(format: Format, sink: Sink) -> Self {
        Self { format, sink, chunk: Vec::new(), failed: false }
    }

    pub(super) async fn room(&mut self) -> Result<(), SinkError> {
        let room = self.sink.room().await;
        self.noted(room)
    }

    pub(super) fn send(&mut self) -> Result<(), SinkError> {
        let sent = self.sink.send(&mut self.chunk);
        self.noted(sent)
    }

    pub(super) async fn deliver(&mut self) -> Result<(), SinkError> {
        let room = timeout(PATIENCE, self.sink.room()).await.unwrap_or(Err(SinkError::Blocked(PATIENCE)));
        self.noted(room)?;
        self.send()
    }

    pub(super) async fn finish(&mut self) -> Result<(), SinkError> {
        if self.failed {
            return Ok(());
        }
        self.deliver().await?;
        self.sink.finish(PATIENCE).await
    }

    pub(super) fn drop(&mut self, drop: &Drop<'_>) {
        self.format.drop(drop, &mut self.chunk);
    }

    pub(super) fn tcp(&mut self, event: &TcpEvent) {
        self.format.tcp(event, &mut self.chunk);
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.format.summary(summary, &mut self.chunk);
    }

    pub(super) fn end(&mut self, summary: &Summary) {
        self.format.end(summary, &mut self.chunk);
    }

    pub(super) fn has_room(&self) -> bool {
        self.sink.has_room()
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunk.len() >= CHUNK
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunk.is_empty()
    }

    fn screen(&mut self) -> Option<(&mut Screen, &mut Vec<u8>)> {
        match &mut self.format {
            Format::Screen(screen) => Some((screen, &mut self.chunk)),
            Format::Lines(_) | Format::Live(..) => None,
        }
    }

    fn noted(&mut self, result: Result<(), SinkError>) -> Result<(), SinkError> {
        self.failed |= result.is_err();
        result
    }
}

impl Outlets {
    /// These together.
    pub fn new(outlets: Vec<Outlet>) -> Self {
        Self { all: outlets, recordings: Recordings::default(), input: None }
    }

    /// The same, and the user can do something about it.
    #[must_use]
    pub fn with_input(self, input: Input) -> Self {
        Self { input: Some(input), ..self }
    }

    pub(super) fn take_input(&mut self) -> Option<Input> {
        self.input.take()
    }

    /// Whether one is drawn on a terminal.
    pub(super) fn is_live(&self) -> bool {
        self.all.iter().any(|outlet| matches!(outlet.format, Format::Live(..) | Format::Screen(_)))
    }

    pub(super) fn drop(&mut self, drop: &Drop<'_>) {
        self.all.iter_mut().for_each(|outlet| outlet.drop(drop));
        self.recordings.drop(drop);
    }

    pub(super) fn tcp(&mut self, event: &TcpEvent) {
        self.all.iter_mut().for_each(|outlet| outlet.tcp(event));
        self.recordings.tcp(event);
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.all.iter_mut().for_each(|outlet| outlet.summary(summary));
        if let Some(told) = self.recordings.summary(summary) {
            self.tell(told);
        }
    }

    /// What the doctor found that explains the run's drops; before its end.
    pub(super) fn findings(&mut self, findings: &[Finding]) {
        for outlet in &mut self.all {
            outlet.format.findings(findings, &mut outlet.chunk);
        }
    }

    pub(super) fn end(&mut self, summary: &Summary) {
        self.all.iter_mut().for_each(|outlet| outlet.end(summary));
        self.recordings.end(summary);
    }

    /// Draws what is on a terminal anew, in the size that the terminal has now.
    pub(super) fn resize(&mut self) {
        for outlet in &mut self.all {
            match &mut outlet.format {
                Format::Live(table, terminal) => {
                    let view = terminal.view();
                    table.resize(view.width, view.height, &mut outlet.chunk);
                }
                Format::Screen(screen) => screen.resize(),
                Format::Lines(_) => {}
            }
        }
    }

    /// Draws a screen that has something new to show, if it is time and the terminal has taken what was drawn before.
    ///
    /// # Errors
    /// When it can't be written to.
    pub(super) fn refresh(&mut self) -> Result<(), SinkError> {
        for outlet in &mut self.all {
            let has_room = outlet.has_room();
            if let Some((screen, chunk)) = outlet.screen()
                && has_room
                && screen.is_due()
            {
                screen.draw(chunk);
                outlet.send()?;
            }
        }
        Ok(())
    }

    /// Takes what the user did. Gives what the run must do: end, or take a summary now.
    pub(super) fn event(&mut self, event: &Event) -> Option<Asked> {
        let (screen, _) = self.all.iter_mut().find_map(Outlet::screen)?;
        match screen.event(event)? {
            Wish::Quit => Some(Asked::End),
            Wish::Record if self.recordings.is_on() => {
                self.recordings.stop();
                Some(Asked::Summary)
            }
            Wish::Record => {
                match self.recordings.start(screen.top.last()) {
                    Ok(file) => screen.top.recording_into(file),
                    Err(error) => screen.top.recording_ended(error),
                }
                None
            }
        }
    }

    /// Shows a sentence to the user.
    fn tell(&mut self, told: String) {
        if let Some((screen, _)) = self.all.iter_mut().find_map(Outlet::screen) {
            screen.top.recording_ended(told);
        }
    }

    /// Whether a chunk is as long as it should become.
    pub(super) fn is_full(&self) -> bool {
        self.all().any(Outlet::is_full)
    }

    /// Whether nothing waits to be handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.all().all(Outlet::is_empty)
    }

    fn all(&self) -> impl Iterator<Item = &Outlet> {
        self.all.iter().chain(self.recordings.current())
    }

    /// Waits until all have room for another chunk.
    ///
    /// # Errors
    /// When one has failed.
    pub(super) async fn room(&mut self) -> Result<(), SinkError> {
        for outlet in &mut self.all {
            outlet.room().await?;
        }
        if let Err(told) = self.recordings.room().await {
            self.tell(told);
        }
        Ok(())
    }

    /// Whether all have room now.
    pub(super) fn has_room(&self) -> bool {
        self.all().all(Outlet::has_room)
    }

    /// Hands over the chunks, which must find room.
    ///
    /// # Errors
    /// When one has failed.
    pub(super) fn send(&mut self) -> Result<(), SinkError> {
        if let Err(told) = self.recordings.send() {
            self.tell(told);
        }
        self.all.iter_mut().try_for_each(Outlet::send)
    }

    /// Hands over the chunks as soon as there is room.
    ///
    /// # Errors
    /// When one has failed or isn't read.
    pub(super) async fn deliver(&mut self) -> Result<(), SinkError> {
        for outlet in &mut self.all {
            outlet.deliver().await?;
        }
        if let Err(told) = self.recordings.deliver().await {
            self.tell(told);
        }
        Ok(())
    }

    /// Waits until all is written. That one has failed is no reason for the others to be cut short: the first error is told.
    ///
    /// # Errors
    /// When one fails or isn't read.
    pub(super) async fn finish(&mut self) -> Result<(), SinkError> {
        let mut result = Ok(());
        for outlet in &mut self.all {
            let finished = outlet.finish().await;
            result = result.and(finished);
        }
        result.and(self.recordings.finish().await)
    }
}

/// What the user wants of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    End,
    Summary,
}
