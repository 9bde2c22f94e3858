//! What the user does at the terminal. A thread of its own reads it, as a terminal has no other way to be read and to end.

use std::io;

use crossterm::event::{Event, read};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Events that wait to be looked at; the thread waits when there are more.
const EVENTS: usize = 64;

/// Keys, the mouse, and the end of the terminal.
#[derive(Debug)]
pub struct Input {
    events: mpsc::Receiver<Event>,
    hangup: Signal,
    quit: Signal,
}

impl Input {
    /// Starts the thread; the terminal must send each key by itself ([`super::Fullscreen`]).
    ///
    /// # Errors
    /// When thread or handlers can't be had.
    pub fn start() -> io::Result<Self> {
        let (to_events, events) = mpsc::channel(EVENTS);
        std::thread::Builder::new().name("input".into()).spawn(move || {
            while let Ok(event) = read() {
                // Its size is told by a signal.
                let is_ours = !matches!(event, Event::Resize(..));
                if is_ours && to_events.blocking_send(event).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { events, hangup: signal(SignalKind::hangup())?, quit: signal(SignalKind::quit())? })
    }

    /// The next event; none when there will be none any more, and all is to end.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => None,
            _ = self.quit.recv() => None,
            event = self.events.recv() => event,
        }
    }
}
