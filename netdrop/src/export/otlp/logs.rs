//! Exports detailed drops as log records: some a second, in batches.

use hyper::body::Bytes;
use prost::Message;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::bucket::Bucket;
use super::health::Health;
use super::queue::Queue;
use super::records::{record, request};
use super::retry::Backoff;
use super::stats::{Stats, add};
use super::transport::Transport;
use crate::export::{Line, Resource};
use crate::model::Timestamp;

/// Reads `drops` into a queue and sends from it, until the run or the exporter ends and the queue is empty. Who reads never
/// waits for who sends.
pub(super) async fn export(
    drops: Receiver<Line>,
    resource: Resource,
    transport: Transport,
    rate: u32,
    stats: &Stats,
    ended: watch::Receiver<bool>,
) {
    let queue = Queue::default();
    let sender = Sender {
        health: Health::new("log records", transport.endpoint.clone()),
        queue: &queue,
        resource,
        transport,
        stats,
    };
    tokio::join!(read(drops, rate, &queue, stats, ended), sender.run());
}

async fn read(
    mut drops: Receiver<Line>,
    rate: u32,
    queue: &Queue,
    stats: &Stats,
    mut ended: watch::Receiver<bool>,
) {
    let mut bucket = Bucket::new(rate, Instant::now());
    loop {
        let read = tokio::select! {
            // What has come before the end is read first.
            biased;
            read = drops.recv() => read,
            _ = ended.wait_for(|ended| *ended) => break,
        };
        match read {
            Ok(line) => {
                add(&stats.logs_read, 1);
                if !bucket.take(Instant::now()) {
                    add(&stats.logs_rate_limited, 1);
                } else if !queue.push(line, Timestamp::now()) {
                    add(&stats.logs_queue_full, 1);
                }
            }
            Err(RecvError::Lagged(missed)) => add(&stats.logs_lagged, missed),
            Err(RecvError::Closed) => break,
        }
    }
    queue.close();
}

struct Sender<'a> {
    queue: &'a Queue,
    resource: Resource,
    transport: Transport,
    health: Health,
    stats: &'a Stats,
}

impl Sender<'_> {
    async fn run(mut self) {
        while let Some(batch) = self.queue.batch().await {
            let lines = batch.len();
            let records: Vec<_> =
                batch.into_iter().filter_map(|waiting| record(&waiting.line, waiting.observed)).collect();
            let number = records.len();
            add(&self.stats.logs_undecodable, count(lines - number));
            if number > 0 {
                self.deliver(request(&self.resource, records).encode_to_vec().into(), count(number)).await;
            }
        }
    }

    /// Sends a batch until it is taken or given up.
    async fn deliver(&mut self, body: Bytes, records: u64) {
        let mut backoff = Backoff::new(Instant::now());
        loop {
            let failure = match self.transport.send(body.clone()).await {
                Ok(answer) => {
                    let rejected = answer.rejected.min(records);
                    add(&self.stats.logs_rejected, rejected);
                    add(&self.stats.logs_exported, records - rejected);
                    return self.health.took(&answer);
                }
                Err(failure) => failure,
            };
            self.health.failed(&failure.why);
            match backoff.wait(failure.retry, Instant::now()) {
                Some(wait) => sleep(wait).await,
                None => return add(&self.stats.logs_failed, records),
            }
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
