//! What the daemon knows, for whoever asks: the run's loop writes, servers and exporters read. Nobody who reads can hold
//! up the loop: summaries are replaced, and a reader of drops who is too slow loses the oldest, and learns how many.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::model::Summary;

/// Drops that a slow reader may lag behind: some 512 bytes each.
const LINES: usize = 1024;
/// Askers who wait for the next reading; more wait for room.
const ASKERS: usize = 16;

/// A detailed drop as its line of JSON (`watch --schema`), without the newline.
pub type Line = Arc<str>;

/// Somebody waits for counters that are read from now on.
#[derive(Debug)]
pub struct Asked(oneshot::Sender<Arc<Summary>>);

/// The run has ended: nothing new will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run has ended")]
pub struct Gone;

/// The readers' end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    latest: watch::Receiver<Arc<Summary>>,
    drops: broadcast::Sender<Line>,
    ask: mpsc::Sender<Asked>,
}

/// The loop's end.
#[derive(Debug)]
pub struct HubWriter {
    latest: watch::Sender<Arc<Summary>>,
    drops: broadcast::Sender<Line>,
    asked: mpsc::Receiver<Asked>,
}

/// Both ends. A summary's rows hold the interval's counts (`counts`) and those since the start (`total`).
pub fn hub() -> (Hub, HubWriter) {
    let (to_latest, latest) = watch::channel(Arc::default());
    let (drops, _) = broadcast::channel(LINES);
    let (ask, asked) = mpsc::channel(ASKERS);
    (Hub { latest, drops: drops.clone(), ask }, HubWriter { latest: to_latest, drops, asked })
}

impl Hub {
    /// The last summary taken; empty before the first.
    pub fn latest(&self) -> Arc<Summary> {
        Arc::clone(&self.latest.borrow())
    }

    /// Has the kernel's counters read now, and gives what they say.
    ///
    /// # Errors
    /// When the run has ended.
    pub async fn fresh(&self) -> Result<Arc<Summary>, Gone> {
        let (answer, summary) = oneshot::channel();
        self.ask.send(Asked(answer)).await.map_err(|_| Gone)?;
        summary.await.map_err(|_| Gone)
    }

    /// Waits for the next summary, whoever asked for it.
    ///
    /// # Errors
    /// When the run has ended.
    pub async fn next(&mut self) -> Result<Arc<Summary>, Gone> {
        self.latest.changed().await.map_err(|_| Gone)?;
        Ok(Arc::clone(&self.latest.borrow_and_update()))
    }

    /// Waits for the end of the run. Unlike a reader of drops, who would wait for others of the hub's clones.
    pub async fn ended(&self) {
        self.ask.closed().await;
    }

    /// The detailed drops from now on. A reader who lags loses the oldest: `RecvError::Lagged` says how many.
    pub fn drops(&self) -> broadcast::Receiver<Line> {
        self.drops.subscribe()
    }
}

impl HubWriter {
    /// Waits until somebody wants counters that are read from now on. Never ends while nobody can ask.
    pub async fn asked(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }

    /// Makes `summary` the latest, and answers who has asked before its counters were read.
    pub fn publish(&self, summary: Summary, asked: impl IntoIterator<Item = Asked>) {
        let summary = Arc::new(summary);
        // A reader who has gone is no failure of the writer.
        let _ = self.latest.send(Arc::clone(&summary));
        for Asked(answer) in asked {
            let _ = answer.send(Arc::clone(&summary));
        }
    }

    /// Whether anybody reads drops: a line is only worth writing then.
    pub fn has_readers(&self) -> bool {
        self.drops.receiver_count() > 0
    }

    /// A detailed drop for those who read them.
    pub fn drop(&self, line: Line) {
        let _ = self.drops.send(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_gets_the_reading_that_follows() {
        let (hub, mut writer) = hub();
        assert_eq!(hub.latest().accounts.seen, 0);
        let answer = tokio::spawn(async move { hub.fresh().await });
        let asked = writer.asked().await;
        let mut summary = Summary::default();
        summary.accounts.seen = 7;
        writer.publish(summary, [asked]);
        assert_eq!(answer.await.unwrap().unwrap().accounts.seen, 7);
    }

    #[tokio::test]
    async fn the_end_of_the_run_is_told() {
        let (mut hub, writer) = hub();
        drop(writer);
        hub.ended().await;
        assert_eq!(hub.fresh().await.unwrap_err(), Gone);
        assert_eq!(hub.next().await.unwrap_err(), Gone);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_learns_how_many() {
        let (hub, writer) = hub();
        assert!(!writer.has_readers());
        let mut drops = hub.drops();
        assert!(writer.has_readers());
        for number in 0..=LINES {
            writer.drop(number.to_string().into());
        }
        let lost = drops.recv().await.unwrap_err();
        assert_eq!(lost, broadcast::error::RecvError::Lagged(1));
        assert_eq!(&*drops.recv().await.unwrap(), "1");
    }
}
