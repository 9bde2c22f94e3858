//! Fresh counters, read once for all who ask at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::export::{Gone, Hub};
use crate::model::Summary;

/// The last reading. Who asks too often is given the same again, so that nobody can keep the loop busy.
#[derive(Debug)]
pub(super) struct Readings {
    hub: Hub,
    last: Mutex<Option<(Instant, Arc<Summary>)>>,
}

impl Readings {
    pub(super) fn new(hub: Hub) -> Self {
        Self { hub, last: Mutex::default() }
    }

    /// Counters that were read at most `age` ago.
    pub(super) async fn fresh(&self, age: Duration) -> Result<Arc<Summary>, Gone> {
        // Held while the loop is asked: whoever comes meanwhile waits for that reading.
        let mut last = self.last.lock().await;
        if let Some((taken, summary)) = &*last
            && taken.elapsed() <= age
        {
            return Ok(Arc::clone(summary));
        }
        // Before it is asked for: it is not older than this.
        let taken = Instant::now();
        let summary = self.hub.fresh().await?;
        *last = Some((taken, Arc::clone(&summary)));
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::hub;

    const LONG: Duration = Duration::MAX;

    #[tokio::test]
    async fn all_who_ask_at_once_share_a_reading() {
        let (hub, mut writer) = hub();
        let readings = Arc::new(Readings::new(hub));
        let writer = tokio::spawn(async move {
            for seen in 1..=2 {
                let asked = writer.asked().await;
                let mut summary = Summary::default();
                summary.total.seen = seen;
                writer.publish(summary, [asked]);
            }
        });
        let mut askers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let readings = Arc::clone(&readings);
            askers.spawn(async move { readings.fresh(LONG).await.unwrap().total.seen });
        }
        assert_eq!(askers.join_all().await, [1; 100]);
        assert_eq!(readings.fresh(Duration::ZERO).await.unwrap().total.seen, 2);
        writer.await.unwrap();
        assert_eq!(readings.fresh(Duration::ZERO).await.unwrap_err(), Gone);
    }
}
