//! What `watch --format json --output FILE` has written, read again: lines → [`Replay`] → the summary that `watch` closed with,
//! or another of the same drops.
//!
//! The contract is the JSON Schema: members that it doesn't know are passed over, a newer version is refused.

mod book;
mod error;
mod identity;
mod line;
mod lines;
mod object;
mod parts;
mod replay;
mod sum;
mod tape;
mod tcp;
#[cfg(test)]
mod tests;

pub use error::{LineError, RecordingError};
pub use identity::Identity;
pub use line::{DropLine, Line, ReasonName, RowLine, SiteName, Totals, Whence};
pub use lines::{Cut, Lines};
pub use parts::in_order;
pub use replay::{Listener, Replay, Unended, Window};
pub use sum::sum;
pub use tape::{Frame, Tape};
pub use tcp::RttLine;
