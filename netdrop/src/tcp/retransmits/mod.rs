//! `netdrop tcp retransmits`: what TCP sent again, and with drops at hand why.

mod csv;
mod report;
mod sums;
mod table;
mod text;

pub use csv::csv;
pub use report::{host_line, of_host};
pub use sums::Sums;
pub use table::Table;
pub use text::{Text, line};

use super::by::{By, Dimension};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What rows are told apart by.
    pub by: By,
    /// Whether each flow's retransmits are joined with this host's drops.
    pub why: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { by: [Dimension::Flow].into_iter().collect(), why: false }
    }
}

#[cfg(test)]
pub(super) mod samples;
