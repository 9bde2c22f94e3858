//! The lines of a recording that begins amid a run, and ends before it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::tcp::{TcpEvent, TcpSummary};
use crate::model::{Accounts, Attribution, CountKey, Counts, Drop, Row, Summary};
use crate::output::{Json, Output};

/// JSON lines whose end counts from where the recording began.
#[derive(Debug)]
pub struct Recorder {
    json: Json,
    elapsed: Duration,
    accounts: Accounts,
    rows: HashMap<CountKey, Counts>,
    tcp: Option<Arc<TcpSummary>>,
}

impl Recorder {
    /// Begins after this summary.
    pub fn new(begin: &Summary) -> Self {
        Self {
            json: Json::new(),
            elapsed: begin.elapsed,
            accounts: begin.total,
            rows: begin.rows.iter().map(|row| (row.count_key(), row.total)).collect(),
            tcp: begin.tcp.clone(),
        }
    }
}

impl Output for Recorder {
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>) {
        self.json.drop(drop, out);
    }

    fn tcp(&mut self, event: &TcpEvent, out: &mut Vec<u8>) {
        self.json.tcp(event, out);
    }

    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        self.json.summary(summary, out);
    }

    /// `summary` may be the last of an interval or that of the whole run: both tell totals.
    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let elapsed = summary.elapsed.saturating_sub(self.elapsed);
        let accounts = summary.total.since(&self.accounts);
        let rows = summary.rows.iter().map(|row| {
            let total = row.total.since(self.rows.get(&row.count_key()).copied().unwrap_or_default());
            Row { counts: total, total, ..row.clone() }
        });
        let end = Summary {
            time: summary.time,
            interval: elapsed,
            elapsed,
            accounts,
            total: accounts,
            rows: rows.filter(|row| row.total.packets > 0).collect(),
            // Other counters were read at the run's start.
            attribution: Attribution::default(),
            tcp: summary.tcp.as_deref().map(|tcp| Arc::new(tcp.whole_since(self.tcp.as_deref()))),
            findings: Arc::clone(&summary.findings),
        };
        self.json.end(&end, out);
    }
}
