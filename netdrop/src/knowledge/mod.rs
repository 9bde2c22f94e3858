//! What is known about drop reasons and drop sites, as data files with a look-up.

mod class;
mod classes;

pub use class::{Class, UnknownClass};
pub use classes::class_of;
