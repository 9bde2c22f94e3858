//! `top` on a terminal: when it is drawn.

use std::time::{Duration, Instant};

use crossterm::event::Event;

use super::terminal::Terminal;
use crate::top::{Top, Wish};

/// Time between two frames: as often as people can follow.
const FRAME: Duration = Duration::from_millis(100);

/// The screen of `top`, and the terminal that it is on.
#[derive(Debug)]
pub struct Screen {
    pub(super) top: Top,
    terminal: Terminal,
    drawn: Option<Instant>,
}

impl Screen {
    /// `top` on this terminal.
    pub fn new(top: Top, terminal: Terminal) -> Self {
        Self { top, terminal, drawn: None }
    }

    /// Takes what the user did.
    pub(super) fn event(&mut self, event: &Event) -> Option<Wish> {
        self.top.event(event)
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self) {
        self.top.resize(self.terminal.view());
    }

    /// Whether a frame is to be drawn now.
    pub(super) fn is_due(&self) -> bool {
        self.top.is_stale() && self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME)
    }

    /// Appends a frame to `out`.
    pub(super) fn draw(&mut self, out: &mut Vec<u8>) {
        self.top.draw(out);
        self.drawn = Some(Instant::now());
    }
}
