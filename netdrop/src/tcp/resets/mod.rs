//! `netdrop tcp resets`: resets sent and received, and why.

mod csv;
mod meaning;
mod report;
mod table;
mod text;

pub use csv::csv;
pub use meaning::of_type;
pub use table::Table;
pub use text::{Text, line};

use std::sync::Arc;

use super::by::{By, Dimension};
use super::rows::{Counts, Row, Rows};
use crate::model::tcp::TcpSummary;
use netdrop_common::tcp::{TcpTotal, kind};

/// What rows are told apart by, if nothing is asked for.
pub fn by_default() -> By {
    [Dimension::Type].into_iter().collect()
}

/// What makes resets alike: the type of `--by`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResetType {
    /// Sent, or received.
    pub sent: bool,
    /// The kernel's reason, else what was derived, in brackets; absent where nothing tells.
    pub reason: Option<Arc<str>>,
    /// Whether the kernel said so, or it was derived (before 6.10, and where the kernel says `NOT_SPECIFIED`).
    pub told: bool,
    /// The state that the socket was in; absent without one.
    pub state: Option<u8>,
}

impl ResetType {
    /// `sent` or `received`.
    pub const fn direction(&self) -> &'static str {
        if self.sent { "sent" } else { "received" }
    }
}

/// Sent and received.
type Directions = Counts<2>;
type SumsRow = Row<ResetType, 2>;
type Sums = Rows<ResetType, 2>;

/// The kernel's exact counts of the interval, and since the start.
fn exact(tcp: &TcpSummary) -> (Directions, Directions) {
    let sum = |of: fn(&crate::model::tcp::TcpCount) -> &TcpTotal| {
        let all = |kind| tcp.of_kind(kind).map(|count| of(count).events).sum();
        Counts([all(kind::RESET_SENT), all(kind::RESET_RECEIVED)])
    };
    (sum(|count| &count.counts), sum(|count| &count.total))
}

#[cfg(test)]
mod samples;
