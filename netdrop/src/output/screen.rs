//! Drawing a frame of lines over the one before, on the terminal's normal screen: the last frame stays.

use unicode_width::UnicodeWidthChar as _;

use super::append;
use super::explain::wrap;

/// What stands on the terminal since the cursor's line was empty.
#[derive(Debug, Default)]
pub struct Screen {
    /// Columns that each line of the last frame takes, unwrapped.
    lines: Vec<usize>,
}

impl Screen {
    /// Replaces the frame before by `frame` (whole lines). `width` is the terminal's now, which may be another than then:
    /// terminals wrap what has become too long, so that the old frame's height is reckoned anew.
    pub fn draw(&mut self, frame: &str, width: usize, out: &mut Vec<u8>) {
        self.clear(width, out);
        out.extend_from_slice(frame.as_bytes());
        self.lines = frame.lines().map(visible_width).collect();
    }

    /// Takes the frame away and leaves the cursor where it began.
    pub fn clear(&mut self, width: usize, out: &mut Vec<u8>) {
        let rows: usize = self.lines.drain(..).map(|line| line.div_ceil(width.max(1)).max(1)).sum();
        if rows > 0 {
            // ECMA-48: cursor up (CUU), to the line's start, erase to the end of the screen (ED).
            append(out, format_args!("\x1b[{rows}A\r\x1b[J"));
        }
    }
}

/// The lines that stay at the end. Tables fit; sentences that are wider than the terminal go on with a whole word.
pub fn closing(lines: impl IntoIterator<Item = String>, width: usize, out: &mut Vec<u8>) {
    for line in lines {
        let is_sentence = visible_width(&line) > width && !line.contains('\x1b');
        let parts = if is_sentence { wrap(&line, width) } else { vec![line] };
        for part in parts {
            out.extend_from_slice(part.as_bytes());
            out.push(b'\n');
        }
    }
}

/// The columns of a line without its colour sequences.
fn visible_width(line: &str) -> usize {
    let mut in_sequence = false;
    let mut width = 0;
    for letter in line.chars() {
        match letter {
            '\x1b' => in_sequence = true,
            'm' if in_sequence => in_sequence = false,
            _ if in_sequence => {}
            _ => width += letter.width().unwrap_or(0),
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(screen: &mut Screen, frame: &str, width: usize) -> String {
        let mut out = Vec::new();
        screen.draw(frame, width, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sentences_go_on_at_a_word_and_tables_stay_as_they_are() {
        let lines = ["A  TABLE", "\x1b[1mTITLE  IN  BOLD\x1b[0m", "12 events seen: all.", ""];
        let mut out = Vec::new();
        closing(lines.map(String::from), 10, &mut out);
        let lines = String::from_utf8(out).unwrap();
        assert_eq!(lines, "A  TABLE\n\x1b[1mTITLE  IN  BOLD\x1b[0m\n12 events\nseen: all.\n\n");
    }

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        let mut screen = Screen::default();
        assert_eq!(draw(&mut screen, "one\ntwo\n", 80), "one\ntwo\n");
        assert_eq!(draw(&mut screen, "three\n", 80), "\x1b[2A\r\x1b[Jthree\n");
        assert_eq!(draw(&mut screen, "four\n", 80), "\x1b[1A\r\x1b[Jfour\n");
    }

    #[test]
    fn lines_that_a_narrower_terminal_wrapped_are_taken_away_whole() {
        let mut screen = Screen::default();
        draw(&mut screen, "\x1b[1m0123456789\x1b[0m\n日本\n\n", 80);
        // 10 columns in 4: three rows; two wide letters: one; an empty line: one.
        assert_eq!(draw(&mut screen, "x\n", 4), "\x1b[5A\r\x1b[Jx\n");
    }

    #[test]
    fn nothing_is_cleared_twice() {
        let mut screen = Screen::default();
        draw(&mut screen, "one\n", 80);
        let mut out = Vec::new();
        screen.clear(80, &mut out);
        screen.clear(80, &mut out);
        assert_eq!(out, b"\x1b[1A\r\x1b[J");
    }
}
