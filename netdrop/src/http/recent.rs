//! The last drops, for who asks after they happened.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use crate::export::{Hub, Line};

/// A reader of the hub's that reads only when it is asked: the channel itself keeps the last lines, and nobody is woken for
/// one.
#[derive(Debug)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
    limit: usize,
}

#[derive(Debug)]
struct Kept {
    unread: Receiver<Line>,
    /// The oldest first.
    lines: VecDeque<Line>,
}

impl Recent {
    /// Keeps `limit` lines from now on; none at all with 0, so that nobody has to write them.
    pub(super) fn keep(hub: &Hub, limit: usize) -> Option<Self> {
        let kept = || Kept { unread: hub.drops(), lines: VecDeque::new() };
        (limit > 0).then(|| Self { kept: Mutex::new(kept()), limit })
    }

    /// Those that are `wanted`, the newest first, `limit` at most.
    pub(super) fn newest(&self, limit: usize, wanted: impl Fn(&str) -> bool) -> Vec<Line> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.read(self.limit);
        kept.lines.iter().rev().filter(|line| wanted(line)).take(limit).cloned().collect()
    }
}

impl Kept {
    fn read(&mut self, limit: usize) {
        loop {
            match self.unread.try_recv() {
                Ok(line) => {
                    if self.lines.len() == limit {
                        self.lines.pop_front();
                    }
                    self.lines.push_back(line);
                }
                // Older ones than the channel holds; there are newer ones to keep.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::hub;

    #[test]
    fn the_newest_are_kept() {
        let (hub, writer) = hub();
        let recent = Recent::keep(&hub, 3).unwrap();
        assert!(recent.newest(10, |_| true).is_empty());
        for number in 0..5000 {
            writer.drop(number.to_string().into());
        }
        let newest = |limit, wanted: fn(&str) -> bool| {
            recent.newest(limit, wanted).iter().map(|line| line.parse().unwrap()).collect::<Vec<u32>>()
        };
        assert_eq!(newest(10, |_| true), [4999, 4998, 4997]);
        assert_eq!(newest(1, |line| line != "4999"), [4998]);
        writer.drop("5000".into());
        assert_eq!(newest(10, |_| true), [5000, 4999, 4998]);
    }

    #[test]
    fn nobody_writes_for_who_keeps_none() {
        let (hub, writer) = hub();
        assert!(Recent::keep(&hub, 0).is_none());
        assert!(!writer.has_readers());
    }
}
