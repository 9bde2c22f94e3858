//! Lines on their way to a receiver: bounded, and sent in batches.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::export::Line;
use crate::model::Timestamp;

/// A batch is sent when it has so many lines, …
pub(super) const BATCH: usize = 512;
/// … or when its oldest has waited for so long.
pub(super) const DELAY: Duration = Duration::from_secs(5);
/// So many lines may wait, …
pub(super) const MOST: usize = 2048;
/// … and so many bytes.
pub(super) const MOST_BYTES: usize = 2 << 20;

/// A detailed drop that waits. It stays the text it came as, which others share, until its batch is sent: decoded it
/// would be several times as large.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub line: Line,
    pub observed: Timestamp,
    since: Instant,
}

/// One puts in, one takes out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Puts a line in; false where there is no room.
    pub fn push(&self, line: Line, observed: Timestamp) -> bool {
        let mut state = self.state();
        if state.lines.len() >= MOST || state.bytes + line.len() > MOST_BYTES {
            return false;
        }
        state.bytes += line.len();
        state.lines.push_back(Waiting { line, observed, since: Instant::now() });
        // Woken to look at the clock, and when a batch is full: not for each line.
        if [1, BATCH].contains(&state.lines.len()) {
            self.changed.notify_one();
        }
        true
    }

    /// Nothing more comes: what is left needn't wait.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Waits for a batch; nothing when the queue is closed and empty.
    pub async fn batch(&self) -> Option<Vec<Waiting>> {
        loop {
            let due = {
                let mut state = self.state();
                let due = state.lines.front().map(|oldest| oldest.since + DELAY);
                let is_due = due.is_some_and(|due| due <= Instant::now());
                if state.closed || is_due || state.lines.len() >= BATCH {
                    return state.take();
                }
                due
            };
            match due {
                Some(due) => _ = timeout_at(due, self.changed.notified()).await,
                None => self.changed.notified().await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Vec<Waiting>> {
        let number = self.lines.len().min(BATCH);
        let batch: Vec<Waiting> = self.lines.drain(..number).collect();
        self.bytes -= batch.iter().map(|waiting| waiting.line.len()).sum::<usize>();
        // A receiver that was down for an hour leaves no memory behind.
        self.lines.shrink_to(BATCH);
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(queue: &Queue, number: usize, length: usize) -> usize {
        let line: Line = "x".repeat(length).into();
        (0..number).filter(|_| queue.push(Line::clone(&line), Timestamp(1))).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_full_or_late() {
        let queue = Queue::default();
        fill(&queue, BATCH + 3, 1);
        let start = Instant::now();
        assert_eq!(queue.batch().await.unwrap().len(), BATCH);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(queue.batch().await.unwrap().len(), 3);
        assert_eq!(start.elapsed().as_secs(), DELAY.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_a_full_batch() {
        let queue = std::sync::Arc::new(Queue::default());
        let taker = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.batch().await.map(|batch| batch.len()) }
        });
        tokio::task::yield_now().await;
        let start = Instant::now();
        fill(&queue, BATCH, 1);
        assert_eq!(taker.await.unwrap(), Some(BATCH));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_has_no_room_is_refused_by_number_and_by_bytes() {
        let queue = Queue::default();
        assert_eq!(fill(&queue, MOST + 100, 1), MOST);
        let queue = Queue::default();
        assert_eq!(fill(&queue, 100, MOST_BYTES / 10), 10);
        queue.close();
        assert_eq!(queue.batch().await.unwrap().len(), 10);
        assert!(queue.batch().await.is_none());
        assert_eq!(fill(&queue, 100, MOST_BYTES / 10), 10, "its bytes were given back");
    }
}
