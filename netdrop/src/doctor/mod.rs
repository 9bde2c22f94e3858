//! The doctor: from counters and drops of some seconds to causes and remedies.
//!
//! Data moves one way: the parts of a [`Snapshot`] are read twice, the two and the drops between them make a [`Window`], each [`Check`] is a pure
//! function from that to [`Finding`]s, and they are ranked by harm. Nothing here changes the host, and no check reads anything by itself.
//!
//! A check is a file in its area's folder, a line in that folder's `CHECKS`, and a record in `knowledge/data/checks.rec`.

mod application;
mod area;
mod check;
mod concurrently;
mod conntrack;
mod diagnosis;
#[cfg(test)]
mod drivers;
mod evidence;
mod finding;
mod interrupts;
mod link;
#[cfg(test)]
pub(crate) mod made;
mod neighbour;
mod netfilter;
mod parts;
mod ports;
mod qdisc;
mod rank;
mod related;
mod remedy;
mod ring;
mod routing;
mod settings;
mod severity;
mod shell;
mod snapshot;
mod softirq;
mod tcp;
#[cfg(test)]
mod tests;
mod ties;
mod udp;
mod window;

pub use area::Area;
pub use check::{Check, Extent, Scope, UnknownCheck, all, chosen};
pub use concurrently::concurrently;
pub use diagnosis::{Diagnosis, Unchecked, diagnose};
pub use evidence::{Drops, Evidence, Example, Moved};
pub use finding::{Certainty, Finding};
pub use rank::rank;
pub use remedy::Remedy;
pub use severity::Severity;
pub use snapshot::{Part, Place, Snapshot, Source, Unread, source};
pub use ties::{explanation, ties};
pub use window::{Home, Span, Whose, Window};
