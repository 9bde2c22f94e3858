//! What netdrop knows beyond what the kernel says.

mod class;

pub use class::Class;
