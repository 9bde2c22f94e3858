//! How drops and summaries are written: one file a format, behind one trait. Bytes are appended; nothing here does I/O
//! but [`RotatingFile`].

mod clock;
pub mod json;
mod text;
mod words;

#[cfg(test)]
mod samples;

pub use clock::Clock;
pub use json::Json;
pub use text::Text;

use crate::model::{Drop, Summary};

/// A format. Each call appends whole lines (or terminal control sequences, for the live table) to `out`.
pub trait Output {
    /// One detailed drop.
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>);
    /// The exact counts of an interval.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>);
    /// The exact counts of the whole run; nothing follows.
    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>);
}
