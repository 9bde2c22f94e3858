//! `netdrop tcp rtt`: round-trip times, counted in the kernel.
//!
//! The kernel's histograms are exact counts in buckets, four to each power of two. What is told of single times (percentiles, the
//! least, the greatest) is the middle of a bucket; [`crate::model::tcp::Histogram`] says how far off that may be.

mod bars;
mod by;
mod csv;
pub(super) mod figures;
mod heat;
mod identity;
mod report;
mod rows;
#[cfg(test)]
mod samples;
mod table;
mod text;

pub use by::{By, Dimension};
pub use csv::Csv;
pub use rows::merged;
pub use table::Table;
pub use text::Text;

use crate::model::tcp::RttWhat;

/// As lines tell it.
pub(crate) const fn word(what: RttWhat) -> &'static str {
    match what {
        RttWhat::Smoothed => "srtt",
        RttWhat::Sample => "sample",
    }
}
