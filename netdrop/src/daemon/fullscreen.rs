//! The terminal as a screen of cells, and its way back to what it was.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Alternate screen, no cursor (xterm, DEC private modes 1049 and 25).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Buttons and wheel, as SGR reports (1000, 1006); not each movement.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// All of that back, also a frame that was cut short (2026) and its colours.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";
/// A terminal that doesn't read for so long is left as it is: its own reset will be needed.
const PATIENCE_MS: u16 = 200;

static ENTERED: AtomicBool = AtomicBool::new(false);

/// While it lives, standard output is a screen of cells and keys come one by one.
#[derive(Debug)]
pub struct Fullscreen(());

impl Fullscreen {
    /// Turns to another screen, so that the one before comes back untouched: also after a panic.
    ///
    /// # Errors
    /// When standard output is no terminal, or nothing can be read from it.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        enable_raw_mode()?;
        ENTERED.store(true, Ordering::SeqCst);
        let entered = Self(());
        let mut stdout = io::stdout().lock();
        stdout.write_all(ENTER)?;
        if mouse {
            stdout.write_all(MOUSE)?;
        }
        stdout.flush()?;
        Ok(entered)
    }
}

impl Drop for Fullscreen {
    fn drop(&mut self) {
        leave();
    }
}

/// Once, whoever is first.
fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::from(PATIENCE_MS)).is_ok_and(|ready| ready > 0) {
        // Not through Rust's buffer: whoever panics may hold its lock.
        let _ = nix::unistd::write(fds[0].as_fd(), LEAVE);
    }
    let _ = disable_raw_mode();
}
