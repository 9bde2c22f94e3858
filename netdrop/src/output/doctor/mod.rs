//! What the doctor found, for people and for programs.

mod closing;
mod evidence;
mod explanations;
mod finding;
mod json;
mod list;
mod page;
mod paint;
mod table;
#[cfg(test)]
mod tests;

pub use closing::{Closing, closing};
pub(super) use evidence::told;
pub use explanations::{explanations, repeated};
pub use finding::{finding, finding_uncut};
pub use json::{finding_line, json};
pub use list::list;
pub use table::table;
