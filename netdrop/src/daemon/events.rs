//! The events in the order in which they came: from the rings, or kept until they can be shown.

use super::backlog::Backlog;
use crate::probe::Rings;

/// The ring and the events that were taken off it early.
#[derive(Debug)]
pub struct Events {
    rings: Rings,
    kept: Backlog,
}

impl Events {
    /// Nothing is kept yet.
    pub fn new(rings: Rings) -> Self {
        Self { rings, kept: Backlog::default() }
    }

    /// The next event; `None` when there is none.
    pub fn next(&mut self) -> Option<&[u8]> {
        match self.kept.next() {
            Some(event) => Some(event),
            None => self.rings.next(),
        }
    }

    /// Puts the event that was taken last back in front.
    pub fn put_back(&mut self, event: &[u8]) {
        self.kept.push_front(event);
    }

    /// Makes room in the ring.
    pub fn keep(&mut self) {
        while self.kept.has_room()
            && let Some(event) = self.rings.next()
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
