//! `top FILE`: nothing happens but what the user does.

use std::io::{self, Write as _};

use super::input::Input;
use super::run::Woken;
use super::stop::Signals;
use super::terminal::Terminal;
use crate::top::{Top, Wish};

/// Shows `top` until the user, a signal or the end of the terminal ends it.
///
/// # Errors
/// When the terminal can't be written to.
pub async fn browse(
    mut top: Top,
    terminal: Terminal,
    mut input: Input,
    mut signals: Signals,
) -> io::Result<()> {
    let mut frame = Vec::new();
    loop {
        top.draw(&mut frame);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&frame).and_then(|()| stdout.flush())?;
        drop(stdout);
        frame.clear();
        tokio::select! {
            biased;
            woken = signals.woken() => match woken {
                Woken::Resized => top.resize(terminal.view()),
                _ => return Ok(()),
            },
            event = input.next() => match event {
                Some(event) if top.event(&event) != Some(Wish::Quit) => {}
                _ => return Ok(()),
            },
        }
    }
}
