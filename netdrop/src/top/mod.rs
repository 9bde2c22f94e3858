//! `netdrop top`: drops, summaries and what the user does in, a screen out. Pure: no terminal, no clock, no kernel.
//!
//! ```text
//! drops, summaries → Feed → Data ─┬→ view → Canvas → bytes
//! keys, mouse      → Top  → Ui   ─┘
//! ```

mod canvas;
mod data;
mod entry;
mod history;
mod keys;
mod names;
mod pane;
mod recorder;
mod tcp;
#[cfg(test)]
mod tests;
mod ui;
mod view;

pub use keys::Wish;
pub use recorder::Recorder;

use ratatui::layout::Rect;

use crate::model::tcp::TcpEvent;
use crate::model::{Drop, Summary};
use crate::output::{Clock, View};
use crate::recording::Tape;
use canvas::Canvas;
use data::{Data, Feed};
use ui::Ui;

/// The screen of `netdrop top`.
#[derive(Debug)]
pub struct Top {
    feed: Feed,
    ui: Ui,
    /// What stays on the screen while the run goes on.
    paused: Option<Box<Data>>,
    recording: Recording,
    /// What the drops come from, where that isn't the kernel.
    tape: Option<Playing>,
    canvas: Canvas,
    view: View,
    clock: Clock,
    /// Whether there is anything new to be drawn.
    stale: bool,
}

/// What is written to a file meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Recording {
    /// Nothing.
    #[default]
    Off,
    /// Into this file.
    On(String),
    /// Something to be told about it: the file that it is in, or why it failed.
    Ended(String),
}

/// A recording, and the place in it that is shown.
#[derive(Debug)]
struct Playing {
    name: String,
    tape: Tape,
    /// The number of summaries that are shown.
    at: usize,
}

impl Top {
    /// A screen of drops to come; `clock` tells the times of packets.
    pub fn new(view: View, clock: Clock) -> Self {
        Self {
            feed: Feed::new(),
            ui: Ui::default(),
            paused: None,
            recording: Recording::Off,
            tape: None,
            canvas: Canvas::default(),
            view,
            clock,
            stale: true,
        }
    }

    /// A screen of the end of a recording, which is called `name`.
    pub fn playing(view: View, clock: Clock, name: String, tape: Tape) -> Self {
        let at = tape.len();
        let mut top = Self { tape: Some(Playing { name, tape, at }), ..Self::new(view, clock) };
        top.ui.tcp =
            top.tape.iter().any(|playing| playing.tape.until(at).any(|frame| frame.summary().tcp.is_some()));
        top.rewind();
        top
    }

    /// Takes a detailed drop.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        self.feed.drop(drop);
        // A site's last packets are shown as they come; all else changes with the next summary.
        self.stale |= self.ui.opened.is_some() && self.paused.is_none();
    }

    /// Takes an event of TCP's own.
    pub fn tcp(&mut self, event: &TcpEvent) {
        self.feed.tcp(event);
    }

    /// Takes the counts of an interval.
    pub fn summary(&mut self, summary: &Summary) {
        self.feed.summary(summary);
        self.ui.tcp |= summary.tcp.is_some();
        self.stale = true;
    }

    /// The last summary, as it came.
    pub fn last(&self) -> &Summary {
        self.feed.last()
    }

    /// From now on it is written into this file.
    pub fn recording_into(&mut self, file: String) {
        self.recording = Recording::On(file);
        self.stale = true;
    }

    /// No more; `told` is shown.
    pub fn recording_ended(&mut self, told: String) {
        self.recording = Recording::Ended(told);
        self.stale = true;
    }

    /// The terminal has another size, or another screen than was drawn.
    pub fn resize(&mut self, view: View) {
        self.view = view;
        self.canvas.forget();
        self.stale = true;
    }

    /// Whether there is anything new to be drawn.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Appends what makes the terminal show what there is to be seen now.
    pub fn draw(&mut self, out: &mut Vec<u8>) {
        let area = self.area();
        let mut canvas = std::mem::take(&mut self.canvas);
        canvas.draw(area, |buffer| self.screen().render(area, buffer), out);
        self.canvas = canvas;
        self.stale = false;
    }

    fn screen(&self) -> view::Screen<'_> {
        view::Screen {
            data: shown(&self.feed, self.paused.as_deref()),
            // Counts are never hidden.
            now: &self.feed.data,
            ui: &self.ui,
            paused: self.paused.is_some(),
            recording: &self.recording,
            playing: self.tape.as_ref(),
            clock: &self.clock,
            color: self.view.color,
        }
    }

    fn area(&self) -> Rect {
        let side = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        // ratatui counts cells in 16 bits.
        Rect::new(0, 0, side(self.view.width).min(1000), side(self.view.height).min(500))
    }

    fn data(&self) -> &Data {
        shown(&self.feed, self.paused.as_deref())
    }

    /// Shows the recording as it was at its cursor.
    fn rewind(&mut self) {
        let Some(Playing { tape, at, .. }) = &self.tape else { return };
        let mut feed = Feed::new();
        feed.show_lifecycle(self.ui.lifecycle);
        for frame in tape.until(*at) {
            frame.drops().for_each(|drop| feed.drop(&drop));
            frame.events().iter().for_each(|event| feed.tcp(event));
            feed.summary(frame.summary());
        }
        self.feed = feed;
    }
}

fn shown<'t>(feed: &'t Feed, paused: Option<&'t Data>) -> &'t Data {
    paused.unwrap_or(&feed.data)
}
