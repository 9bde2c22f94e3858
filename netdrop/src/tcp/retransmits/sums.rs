//! What was sent again: rows, exact counts, and the flows' stories.

use netdrop_common::tcp::retransmit::FAILED;
use netdrop_common::tcp::{TcpTotal, kind};

use super::super::columns;
use super::super::rows::{Counts, Row, Rows};
use super::super::why::{Flow, Story, Why};
use super::Plan;
use crate::model::tcp::{Retransmit, TcpCount, TcpEvent, TcpKind, TcpSummary};
use crate::model::{Accounts, Drop};
use crate::order::InOrder as _;

/// Counts by what made TCP send again, in the order of [`Retransmit::ALL`].
pub type ByType = Counts<{ Retransmit::ALL.len() }>;

/// A row.
pub type SumsRow = Row<Retransmit, { Retransmit::ALL.len() }>;

/// What was seen so far.
#[derive(Debug)]
pub struct Sums {
    plan: Plan,
    rows: Rows<Retransmit, { Retransmit::ALL.len() }>,
    why: Why,
}

/// Rows with their stories, as they are shown.
#[derive(Debug)]
pub(super) struct Told {
    pub rows: Vec<SumsRow>,
    /// Of each row; absent where nothing is to be told.
    pub stories: Vec<Option<Story>>,
    /// Exact counts of the interval.
    pub interval: ByType,
    /// Since the start.
    pub total: ByType,
}

impl Sums {
    /// Of nothing yet.
    pub fn new(plan: Plan) -> Self {
        Self { plan, rows: Rows::new(plan.by), why: Why::default() }
    }

    /// Takes a retransmit in; other events are left out.
    pub fn record(&mut self, event: &TcpEvent) {
        let TcpKind::Retransmit { by, failed, .. } = event.kind else { return };
        // What couldn't be sent is no retransmission: it says why none came.
        if failed.is_none() {
            self.rows.record(event, by, by as usize);
        }
        if self.plan.why {
            self.why.retransmit(event);
        }
    }

    /// Takes a drop in, where the question is why.
    pub fn drop(&mut self, drop: &Drop<'_>) {
        if self.plan.why {
            self.why.drop(drop);
        }
    }

    /// Starts the next interval.
    pub fn turn(&mut self) {
        self.rows.turn();
        self.why.turn();
    }

    /// As it stands; `drops` are the accounts of the drops that were followed. `at_end`, rows are ordered by their totals.
    pub(super) fn told(&self, tcp: &TcpSummary, drops: &Accounts, at_end: bool) -> Told {
        let (interval, total) = exact(tcp);
        let mut rows = self.rows.rows(&interval, &total);
        if at_end {
            rows.order_by_key(|row| (row.is_others(), std::cmp::Reverse(row.total.sum())));
        }
        let whole = columns::is_whole_of_drops(drops);
        let story = |row: &SumsRow| {
            let (local, remote) = (row.key.local?, row.key.remote?);
            self.why.story(&Flow { local, remote, netns: row.key.netns }, whole)
        };
        let stories = rows.iter().map(|row| if self.plan.why { story(row) } else { None }).collect();
        Told { rows, stories, interval, total }
    }

    /// The stories of flows that sent again in the interval under way.
    pub(super) fn lately(&self, drops: &Accounts) -> Vec<Story> {
        if !self.plan.why {
            return Vec::new();
        }
        let mut stories = self.why.stories(columns::is_whole_of_drops(drops));
        stories.retain(|story| story.lately);
        stories
    }
}

/// The kernel's exact counts of the interval, and since the start.
pub(super) fn exact(tcp: &TcpSummary) -> (ByType, ByType) {
    let sum = |of: fn(&TcpCount) -> &TcpTotal| {
        let mut counts = ByType::default();
        let kinds = [kind::RETRANSMIT, kind::RETRANSMIT_SYN_ACK];
        let went_out = |count: &&TcpCount| kinds.contains(&count.kind) && count.detail & FAILED == 0;
        for count in tcp.counts.iter().filter(went_out) {
            counts.0[Retransmit::of_detail(count.detail) as usize] += of(count).events;
        }
        counts
    };
    (sum(|count| &count.counts), sum(|count| &count.total))
}

/// Segments that couldn't be sent again, since the start (told from 6.16 on).
pub(super) fn failed(tcp: &TcpSummary) -> u64 {
    let failed = tcp.of_kind(kind::RETRANSMIT).filter(|count| count.detail & FAILED != 0);
    failed.map(|count| count.total.events).sum()
}
