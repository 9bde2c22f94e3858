//! What is known about drop reasons, drop sites, packet traps, TCP's resets and the doctor's checks: data files, and ways to look something up in them.
//!
//! The files in `data` are records in the format of GNU recutils (`Field: value` lines, a blank line between records), one
//! file a subsystem. They are compiled in and indexed when something is first looked up; a record is read when it is shown.

mod ask;
mod base;
mod class;
mod entry;
#[cfg(test)]
mod tests;

pub use ask::{Answer, AskError, Kernel, ask};
pub use base::{check, class_of, class_of_trap, entries, reason, reset, setting, site, trap};
pub use class::{Class, UnknownClass};
pub use entry::{Entry, Kind, Source, Step};
