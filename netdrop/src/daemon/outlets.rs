//! The outputs of a run, and their common discipline: what finds no room in one of them waits for all.

use std::time::Duration;

use tokio::time::timeout;

use super::sink::{Sink, SinkError};
use super::terminal::Terminal;
use crate::model::{Drop, Summary};
use crate::output::{Output, Table};

/// Bytes of output that are handed over at once, about.
const CHUNK: usize = 64 << 10;
/// At the end, a consumer that reads nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A format, and the terminal where it is drawn on one.
pub enum Format {
    /// Lines.
    Lines(Box<dyn Output>),
    /// The live table.
    Live(Box<Table>, Terminal),
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
pub struct Outlets(Vec<Outlet>);

impl Format {
    fn output(&mut self) -> &mut dyn Output {
        match self {
            Self::Lines(output) => output.as_mut(),
            Self::Live(table, _) => table.as_mut(),
        }
    }
}

impl Outlet {
    /// `format` goes to `sink`.
    pub fn new(format: Format, sink: Sink) -> Self {
        Self { format, sink, chunk: Vec::new(), failed: false }
    }

    async fn room(&mut self) -> Result<(), SinkError> {
        let room = self.sink.room().await;
        self.noted(room)
    }

    fn send(&mut self) -> Result<(), SinkError> {
        let sent = self.sink.send(&mut self.chunk);
        self.noted(sent)
    }

    async fn deliver(&mut self) -> Result<(), SinkError> {
        let room = timeout(PATIENCE, self.sink.room()).await.unwrap_or(Err(SinkError::Blocked(PATIENCE)));
        self.noted(room)?;
        self.send()
    }

    async fn finish(&mut self) -> Result<(), SinkError> {
        if self.failed {
            return Ok(());
        }
        self.deliver().await?;
        self.sink.finish(PATIENCE).await
    }

    fn noted(&mut self, result: Result<(), SinkError>) -> Result<(), SinkError> {
        self.failed |= result.is_err();
        result
    }
}

impl Outlets {
    /// These together.
    pub fn new(outlets: Vec<Outlet>) -> Self {
        Self(outlets)
    }

    /// Whether one is drawn on a terminal.
    pub(super) fn is_live(&self) -> bool {
        self.0.iter().any(|outlet| matches!(outlet.format, Format::Live(..)))
    }

    pub(super) fn drop(&mut self, drop: &Drop<'_>) {
        self.0.iter_mut().for_each(|outlet| outlet.format.output().drop(drop, &mut outlet.chunk));
    }

    pub(super) fn summary(&mut self, summary: &Summary) {
        self.0.iter_mut().for_each(|outlet| outlet.format.output().summary(summary, &mut outlet.chunk));
    }

    pub(super) fn end(&mut self, summary: &Summary) {
        self.0.iter_mut().for_each(|outlet| outlet.format.output().end(summary, &mut outlet.chunk));
    }

    /// Draws a terminal's table anew, in the size that the terminal has now.
    pub(super) fn resize(&mut self) {
        for outlet in &mut self.0 {
            if let Format::Live(table, terminal) = &mut outlet.format {
                let view = terminal.view();
                table.resize(view.width, view.height, &mut outlet.chunk);
            }
        }
    }

    /// Whether a chunk is as long as it should become.
    pub(super) fn is_full(&self) -> bool {
        self.0.iter().any(|outlet| outlet.chunk.len() >= CHUNK)
    }

    /// Whether nothing waits to be handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|outlet| outlet.chunk.is_empty())
    }

    /// Waits until all have room for another chunk.
    ///
    /// # Errors
    /// When one has failed.
    pub(super) async fn room(&mut self) -> Result<(), SinkError> {
        for outlet in &mut self.0 {
            outlet.room().await?;
        }
        Ok(())
    }

    /// Whether all have room now.
    pub(super) fn has_room(&self) -> bool {
        self.0.iter().all(|outlet| outlet.sink.has_room())
    }

    /// Hands over the chunks, which must find room.
    ///
    /// # Errors
    /// When one has failed.
    pub(super) fn send(&mut self) -> Result<(), SinkError> {
        self.0.iter_mut().try_for_each(Outlet::send)
    }

    /// Hands over the chunks as soon as there is room.
    ///
    /// # Errors
    /// When one has failed or isn't read.
    pub(super) async fn deliver(&mut self) -> Result<(), SinkError> {
        for outlet in &mut self.0 {
            outlet.deliver().await?;
        }
        Ok(())
    }

    /// Waits until all is written. That one has failed is no reason for the others to be cut short: the first error is told.
    ///
    /// # Errors
    /// When one fails or isn't read.
    pub(super) async fn finish(&mut self) -> Result<(), SinkError> {
        let mut result = Ok(());
        for outlet in &mut self.0 {
            let finished = outlet.finish().await;
            result = result.and(finished);
        }
        result
    }
}
