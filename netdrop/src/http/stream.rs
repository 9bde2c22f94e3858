//! `/api/v1/stream`: what happens, as server-sent events (HTML standard, section 9.2).
//!
//! `start` comes first: the counts since the start. Then each second a `summary` of what was added, the second's newest drops as
//! `drop`, and `skipped` with the number of those that are not told. `end` when the run has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::answer::Refusal;
use super::api::written;
use super::body::pieces;
use super::drops::ask;
use super::router::{Context, Shared};
use super::window::{since, since_start};
use crate::export::{Gone, Line};
use crate::model::Summary;

/// Time between two summaries.
const PERIOD: Duration = Duration::from_secs(1);
/// Counters that another watcher had read are as good, which keeps the readings at one a second for all.
const SHARED: Duration = Duration::from_millis(900);
/// Drops that are told a second when nobody says how many.
const USUAL: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Drops a second; 0 for summaries alone. The hub holds 1024 for each watcher.
    drops: Option<usize>,
}

pub(super) async fn stream(State(shared): Context, uri: Uri) -> Result<Response, Refusal> {
    let Question { drops } = ask(&uri)?;
    let Ok(place) = Arc::clone(&shared.watchers).try_acquire_owned() else {
        let message = "as many watch already as max_streams allows";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message).with(header::RETRY_AFTER, "10"));
    };
    let limit = drops.unwrap_or(USUAL);
    let (sender, body) = pieces();
    let unread = (limit > 0).then(|| shared.served.hub.drops());
    let watcher = Watcher { shared, sender, unread, limit, last: Arc::default(), _place: place };
    tokio::spawn(watcher.watch());
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

/// One client that watches.
struct Watcher {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Bytes>,
    unread: Option<Receiver<Line>>,
    limit: usize,
    /// The counts that the client knows.
    last: Arc<Summary>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Until the client, the run or the server ends.
    async fn watch(mut self) {
        let mut ending = self.shared.ending.clone();
        let sender = self.sender.clone();
        tokio::select! {
            Gone = self.tell() => {
                let _ = sender.send(Bytes::from_static(b"event: end\ndata: {}\n\n")).await;
            }
            () = sender.closed() => {}
            _ = ending.changed() => {}
        }
    }

    async fn tell(&mut self) -> Gone {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kind = "start";
        loop {
            period.tick().await;
            let summary = match self.shared.readings.fresh(SHARED).await {
                Ok(summary) => summary,
                Err(gone) => return gone,
            };
            let told = if kind == "start" { since_start(&summary) } else { since(&self.last, &summary) };
            self.last = summary;
            let mut events = Vec::new();
            push_event(&mut events, kind, &written(&told));
            self.push_drops(&mut events);
            kind = "summary";
            if self.sender.send(events.into()).await.is_err() {
                // The client's end is noticed by who called.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The newest of the drops since the last time, and how many are left out.
    fn push_drops(&mut self, events: &mut Vec<u8>) {
        let Some(unread) = &mut self.unread else { return };
        let (lines, mut skipped) = read(unread);
        let newest = lines.len().saturating_sub(self.limit);
        skipped += newest as u64;
        for line in &lines[newest..] {
            push_event(events, "drop", line.as_bytes());
        }
        if skipped > 0 {
            push_event(events, "skipped", format!("{{\"drops\":{skipped}}}").as_bytes());
        }
    }
}

/// All that wait, the oldest first, and how many the hub had no room for.
fn read(unread: &mut Receiver<Line>) -> (Vec<Line>, u64) {
    let (mut lines, mut lost) = (Vec::new(), 0);
    loop {
        match unread.try_recv() {
            Ok(line) => lines.push(line),
            Err(TryRecvError::Lagged(missed)) => lost += missed,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return (lines, lost),
        }
    }
}

/// JSON has no line breaks of its own, so that one `data` field holds it.
fn push_event(events: &mut Vec<u8>, kind: &str, json: &[u8]) {
    events.extend_from_slice(b"event: ");
    events.extend_from_slice(kind.as_bytes());
    events.extend_from_slice(b"\ndata: ");
    events.extend_from_slice(json.trim_ascii_end());
    events.extend_from_slice(b"\n\n");
}
