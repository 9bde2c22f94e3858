//! The terminal that the live table is on.

use crate::output::View;

/// Its size and whether it shows colour.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    color: bool,
}

/// What a terminal has that doesn't tell its size.
const FALLBACK: (u16, u16) = (80, 24);

impl Terminal {
    /// The terminal on standard output.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// Its size now.
    pub fn view(self) -> View {
        let (width, height) = crossterm::terminal::size().unwrap_or(FALLBACK);
        View { width: width.into(), height: height.into(), color: self.color }
    }
}
