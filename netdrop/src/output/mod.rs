//! How drops and summaries are written: one file a format, behind one trait. Bytes are appended; nothing here does I/O
//! but [`RotatingFile`], [`PacketFiles`] and [`Datagrams`].

mod attribution;
mod clock;
pub(crate) mod color;
pub(crate) mod columns;
mod comparison;
pub(crate) mod csv;
mod datagram;
pub mod doctor;
mod dropwatch;
mod escape;
pub mod explain;
mod file;
mod flamegraph;
pub(crate) mod fold;
mod folded;
mod histogram;
mod html;
mod journald;
pub mod json;
mod junit;
mod logged;
mod pcapng;
mod repeats;
pub(crate) mod report;
mod rotate;
pub(crate) mod screen;
mod stacks;
mod syslog;
mod table;
mod text;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod samples;

pub use clock::Clock;
pub use color::Color;
pub use comparison::{Recorded, comparison_csv, comparison_json, comparison_lines, remarks, sentence};
pub use csv::Csv;
pub use datagram::Datagrams;
pub use dropwatch::Dropwatch;
pub use file::{Destination, FileError, Limit, Rotation};
pub use flamegraph::FlameGraph;
pub use folded::FoldedStacks;
pub use histogram::Histogram;
pub(crate) use histogram::sparkline;
pub use html::{About, Page};
pub use journald::{JOURNAL, journald};
pub use json::Json;
pub use junit::{Checked, junit, markdown};
pub use pcapng::{Machine, PacketFiles, Pcapng};
pub use repeats::repeats;
pub use rotate::RotatingFile;
pub use stacks::Stacks;
pub use syslog::{SYSLOG, syslog};
pub use table::{Table, View, render};
pub use text::Text;
pub(crate) use text::{context as told_context, packet as told_packet};

use std::io::Write as _;

use crate::doctor::Finding;
use crate::model::tcp::TcpEvent;
use crate::model::{Drop, Summary};

/// A format. Each call appends whole lines (or terminal control sequences, for the live table) to `out`.
///
/// A run is any number of drops and summaries, then one last summary of the unfinished interval, then findings, then the end.
pub trait Output {
    /// One detailed drop.
    fn drop(&mut self, drop: &Drop<'_>, out: &mut Vec<u8>);
    /// One event of TCP's own; formats that know nothing of them leave them out.
    fn tcp(&mut self, _event: &TcpEvent, _out: &mut Vec<u8>) {}
    /// The exact counts of an interval.
    fn summary(&mut self, summary: &Summary, out: &mut Vec<u8>);
    /// What the doctor found that explains the run's drops, in full; in short it stands in the end.
    fn findings(&mut self, _findings: &[Finding], _out: &mut Vec<u8>) {}
    /// The exact counts of the whole run; nothing follows.
    fn end(&mut self, summary: &Summary, out: &mut Vec<u8>);
}

/// A format that is drawn in place on a terminal.
pub trait Redrawn: Output {
    /// Draws anew for a terminal that has another size now.
    fn resize(&mut self, width: usize, height: usize, out: &mut Vec<u8>);
}

/// Appends formatted text.
pub(crate) fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}
