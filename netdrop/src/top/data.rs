//! What the screen shows: the rows of each pane, the accounts, the last packets. It can be kept as it is while the run goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, TREND, tally};
use super::history::History;
use super::names::Met;
use super::pane::Pane;
use super::tcp::TcpRows;
use crate::aggregate::{Aggregator, By, Dimension, Now};
use crate::knowledge::Class;
use crate::model::tcp::TcpEvent;
use crate::model::{Accounts, CountKey, Counts, Drop, Explanation, Row, Summary, Timestamp};

/// What there is to be seen now.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// When the last summary was taken.
    pub time: Timestamp,
    /// What it covers.
    pub interval: Duration,
    /// Since the start, or since it was cleared.
    pub elapsed: Duration,
    /// The accounts of that time.
    pub accounts: Accounts,
    /// Drops of the last interval that the filter let through.
    pub drops: u64,
    /// The rows by site, reason, device, namespace and protocol.
    pub rows: Vec<Row>,
    /// What the doctor says of them.
    pub findings: Arc<[Explanation]>,
    /// The last packets.
    pub history: History,
    /// Drops of each of the last intervals, the latest last.
    pub trend: VecDeque<u64>,
    /// The rows by flow, and those by owner.
    flows: Vec<Row>,
    owners: Vec<Row>,
    /// What TCP told; absent where it isn't followed.
    tcp: Option<Vec<Row>>,
    entries: HashMap<Pane, Vec<Entry>>,
}

/// Turns drops and summaries into [`Data`].
#[derive(Debug)]
pub struct Feed {
    /// What is to be seen.
    pub data: Data,
    flows: Aggregator,
    owners: Aggregator,
    tcp: TcpRows,
    met: Met,
    /// Whether the entries count drops of the class lifecycle, which are no loss.
    lifecycle: bool,
    /// The run's last summary, and the one that all is counted from.
    last: Summary,
    cleared: Cleared,
}

/// What was counted when it was cleared.
#[derive(Debug, Default)]
struct Cleared {
    elapsed: Duration,
    accounts: Accounts,
    rows: HashMap<CountKey, Counts>,
}

impl Data {
    /// The rows of a pane, in no order.
    pub fn entries(&self, pane: Pane) -> &[Entry] {
        self.entries.get(&pane).map_or(&[], Vec::as_slice)
    }

    /// Drops since the start, or since it was cleared, that are of the class lifecycle, and at how many sites.
    pub fn lifecycle(&self) -> (u64, usize) {
        let noise = self.rows.iter().filter(|row| is_noise(row));
        let sites: std::collections::HashSet<_> = noise.clone().map(|row| row.count_key().address).collect();
        (noise.map(|row| row.total.packets).sum(), sites.len())
    }

    /// Counts drops of the class lifecycle, or leaves them out.
    pub fn show_lifecycle(&mut self, shown: bool) {
        self.tally(shown, false);
    }

    /// Sums the rows for each pane anew; `step`: an interval has passed.
    fn tally(&mut self, lifecycle: bool, step: bool) {
        for pane in Pane::ALL {
            let rows = match pane {
                Pane::Flows => &*self.flows,
                Pane::Owners => &self.owners,
                Pane::Tcp => self.tcp.as_deref().unwrap_or_default(),
                Pane::Sites | Pane::Reasons | Pane::Devices | Pane::Namespaces => &self.rows,
            };
            let rows = rows.iter().filter(|row| lifecycle || !is_noise(row));
            let rows = rows.filter(|row| row.total.packets > 0);
            let before = self.entries.remove(&pane).unwrap_or_default();
            self.entries.insert(pane, tally(pane, rows, before, step));
        }
    }
}

impl Feed {
    /// Nothing yet.
    pub fn new() -> Self {
        let (flows, owners) = aggregators();
        Self {
            data: Data::default(),
            flows,
            owners,
            tcp: TcpRows::default(),
            met: Met::default(),
            lifecycle: false,
            last: Summary::default(),
            cleared: Cleared::default(),
        }
    }

    /// The run's last summary.
    pub fn last(&self) -> &Summary {
        &self.last
    }

    /// Takes a detailed drop.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        self.met.drop(drop);
        self.flows.record(drop);
        self.owners.record(drop);
        self.data.history.record(drop);
    }

    /// Takes an event of TCP's.
    pub fn tcp(&mut self, event: &TcpEvent) {
        self.tcp.record(event);
    }

    /// Takes the counts of an interval.
    pub fn summary(&mut self, summary: &Summary) {
        self.last = summary.clone();
        self.count(summary);
        self.data.tcp = summary.tcp.as_deref().map(|tcp| self.tcp.summary(tcp));
        let data = &mut self.data;
        data.trend.push_back(data.drops);
        let over = data.trend.len().saturating_sub(TREND);
        data.trend.drain(..over);
        data.tally(self.lifecycle, true);
    }

    fn count(&mut self, summary: &Summary) {
        let Self { data, cleared, met, .. } = self;
        data.time = summary.time;
        data.interval = summary.interval;
        data.elapsed = summary.elapsed.saturating_sub(cleared.elapsed);
        data.accounts = summary.total.since(&cleared.accounts);
        data.drops = summary.accounts.passed();
        data.rows.clone_from(&summary.rows);
        data.findings = Arc::clone(&summary.findings);
        for row in &mut data.rows {
            met.row(row);
            row.total = row.total.since(cleared.rows.get(&row.count_key()).copied().unwrap_or_default());
        }
        let now = Now { time: data.time, elapsed: data.elapsed, accounts: data.accounts };
        let totals = || data.rows.iter().map(|row| (row.count_key(), row.total));
        data.flows = self.flows.summary(now, totals(), met).rows;
        data.owners = self.owners.summary(now, totals(), met).rows;
    }

    /// Starts to count anew; what the kernel counts goes on.
    pub fn clear(&mut self) {
        let last = &self.last;
        self.cleared = Cleared {
            elapsed: last.elapsed,
            accounts: last.total,
            rows: last.rows.iter().map(|row| (row.count_key(), row.total)).collect(),
        };
        (self.flows, self.owners) = aggregators();
        self.tcp.clear();
        let tcp = self.data.tcp.is_some().then(Vec::new);
        self.data = Data { time: last.time, interval: last.interval, tcp, ..Data::default() };
    }

    /// Whether drops of the class lifecycle are shown.
    pub fn show_lifecycle(&mut self, shown: bool) {
        self.lifecycle = shown;
        self.data.show_lifecycle(shown);
    }
}

fn aggregators() -> (Aggregator, Aggregator) {
    let by = |dimensions: &[Dimension]| Aggregator::from_details(dimensions.iter().copied().collect::<By>());
    let site = [Dimension::Site, Dimension::Reason];
    let flows = by(&[site[0], site[1], Dimension::Proto, Dimension::Flow]);
    (flows, by(&[site[0], site[1], Dimension::Owner, Dimension::Container]))
}

fn is_noise(row: &Row) -> bool {
    row.class == Some(Class::Lifecycle)
}
