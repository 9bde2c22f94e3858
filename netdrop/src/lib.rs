//! netdrop: where the Linux kernel drops packets, why, whose they were, and what to do about it.

pub mod kernel;
pub mod knowledge;
