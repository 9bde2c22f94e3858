//! The events in the order in which they came: from the ring, or kept until they can be shown.

use super::backlog::Backlog;
use crate::probe::Ring;

/// The ring and the events that were taken off it early.
#[derive(Debug)]
pub struct Events {
    ring: Ring,
    kept: Backlog,
}

impl Events {
    /// Nothing is kept yet.
    pub fn new(ring: Ring) -> Self {
        Self { ring, kept: Backlog::default() }
    }

    /// The next event; `None` when there is none.
    pub fn next(&mut self) -> Option<&[u8]> {
        match self.kept.next() {
            Some(event) => Some(event),
            None => self.ring.next(),
        }
    }

    /// Puts the event that was taken last back in front.
    pub fn put_back(&mut self, event: &[u8]) {
        self.kept.push_front(event);
    }

    /// Makes room in the ring.
    pub fn keep(&mut self) {
        while self.kept.has_room()
            && let Some(event) = self.ring.next()
        {
            self.kept.push(event);
        }
    }

    /// Makes room in the ring while kept events are shown: it may fill up in that time.
    pub fn keep_up(&mut self) {
        if !self.kept.is_empty() {
            self.keep();
        }
    }
}
