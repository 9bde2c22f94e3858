//! From a screen to bytes for the terminal: only what has changed since the screen before.

use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// What stands on the terminal.
#[derive(Debug, Default)]
pub struct Canvas {
    /// Nothing known: all is drawn.
    shown: Option<Buffer>,
}

/// Synchronized output (DEC private mode 2026): terminals that know it show a frame at once.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";
/// Erases the screen (ED).
const ERASE: &[u8] = b"\x1b[2J";

impl Canvas {
    /// All is drawn the next time: something else may have written there.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Draws what `render` puts into a screen of this size.
    pub fn draw(&mut self, area: Rect, render: impl FnOnce(&mut Buffer), out: &mut Vec<u8>) {
        let mut next = Buffer::empty(area);
        render(&mut next);
        let known = self.shown.take().filter(|shown| shown.area == area);
        let is_new = known.is_none();
        let before = known.unwrap_or_else(|| Buffer::empty(area));
        let changes = before.diff(&next);
        if is_new || !changes.is_empty() {
            out.extend_from_slice(BEGIN);
            if is_new {
                out.extend_from_slice(ERASE);
            }
            CrosstermBackend::new(&mut *out).draw(changes.into_iter()).expect("a Vec takes every byte");
            out.extend_from_slice(END);
        }
        self.shown = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn draw(canvas: &mut Canvas, width: u16, text: &str) -> String {
        let mut out = Vec::new();
        canvas.draw(
            Rect::new(0, 0, width, 1),
            |buffer| buffer.set_string(0, 0, text, Style::default()),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_changes_are_written() {
        let mut canvas = Canvas::default();
        assert!(draw(&mut canvas, 9, "drops 10").contains("drops"));
        assert_eq!(draw(&mut canvas, 9, "drops 10"), "");
        let change = draw(&mut canvas, 9, "drops 11");
        assert!(change.contains("\x1b[1;8H") && !change.contains("drops"), "{change:?}");
    }

    #[test]
    fn another_size_and_a_doubtful_screen_are_drawn_whole() {
        let mut canvas = Canvas::default();
        draw(&mut canvas, 9, "drops");
        assert!(draw(&mut canvas, 8, "drops").contains("\x1b[2J"));
        canvas.forget();
        let whole = draw(&mut canvas, 8, "drops");
        assert!(whole.contains("\x1b[2J") && whole.contains("drops"), "{whole:?}");
    }
}
