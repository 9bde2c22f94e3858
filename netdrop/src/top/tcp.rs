//! What TCP told: segments sent again and resets by connection, as rows like those of drops.

use std::collections::HashMap;

use crate::model::tcp::{Counted, TcpCount, TcpEvent, TcpKind, TcpSummary, TcpTotal};
use crate::model::{Counts, Endpoint, OwnerName, Row};

/// Rows that are kept; what has no place is in the row of all others.
const LIMIT: usize = 1024;

/// Sums events until the next summary.
#[derive(Debug, Default)]
pub struct TcpRows {
    rows: HashMap<(String, Option<Endpoint>, Option<Endpoint>), Row>,
    /// What was counted when it was cleared.
    cleared: u64,
    /// What is counted now.
    counted: u64,
}

impl TcpRows {
    /// Takes an event; others than retransmissions and resets are passed over.
    pub fn record(&mut self, event: &TcpEvent) {
        let what = match &event.kind {
            TcpKind::Retransmit { by, failed: None, .. } => format!("retransmit {by}"),
            TcpKind::ResetSent { reason, .. } => {
                format!("reset sent {}", reason.as_deref().unwrap_or_default()).trim_end().to_owned()
            }
            TcpKind::ResetReceived { .. } => "reset received".into(),
            TcpKind::Retransmit { .. } | TcpKind::State { .. } | TcpKind::Close { .. } => return,
        };
        let is_full = self.rows.len() >= LIMIT;
        let key = (what, event.local, event.remote);
        if is_full && !self.rows.contains_key(&key) {
            return;
        }
        let name = key.0.clone();
        let row = self.rows.entry(key).or_insert_with(|| Row {
            function: Some(name),
            source: event.local,
            destination: event.remote,
            ..Row::default()
        });
        let more = Counts { packets: event.weight.into(), bytes: 0 };
        row.counts += more;
        row.total += more;
        row.estimated |= event.weight > 1;
        row.owner = owner(event).or(row.owner.take());
    }

    /// The rows of the interval that ends, and the one of what none of them stands for.
    pub fn summary(&mut self, tcp: &TcpSummary) -> Vec<Row> {
        let exact = |of: fn(&TcpCount) -> &TcpTotal| -> u64 {
            tcp.counts.iter().filter(|count| is_told(count)).map(|count| of(count).events).sum()
        };
        self.counted = exact(|count| &count.total);
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        let told = |of: fn(&Row) -> Counts| rows.iter().map(|row| of(row).packets).sum::<u64>();
        let left = |exact: u64, told: u64| Counts { packets: exact.saturating_sub(told), bytes: 0 };
        let others = Row {
            counts: left(exact(|count| &count.counts), told(|row| row.counts)),
            total: left(self.counted.saturating_sub(self.cleared), told(|row| row.total)),
            other: true,
            ..Row::default()
        };
        rows.extend(Some(others).filter(|others| others.total.packets > 0));
        self.rows.values_mut().for_each(|row| row.counts = Counts::default());
        rows
    }

    /// Starts anew.
    pub fn clear(&mut self) {
        *self = Self { cleared: self.counted, counted: self.counted, ..Self::default() };
    }
}

/// Whether it is among the rows.
const fn is_told(count: &TcpCount) -> bool {
    match count.counted() {
        Counted::Retransmit => !count.has_failed(),
        Counted::ResetSent | Counted::ResetReceived => true,
        Counted::State | Counted::Close => false,
    }
}

fn owner(event: &TcpEvent) -> Option<OwnerName> {
    event.owner.as_ref()?.owner.first()
}
