//! netdrop: where the Linux kernel drops packets, why, whose they were, and what to do about it.
//!
//! Data moves one way, `ring → decode → enrich → aggregate → output`; ARCHITECTURE.md has the picture.

pub mod aggregate;
pub mod assertion;
pub mod attribute;
pub mod check;
pub mod cli;
pub mod compare;
pub mod counters;
pub mod daemon;
pub mod decode;
pub mod doctor;
pub mod enrich;
pub mod export;
pub mod filter;
pub mod http;
pub mod kernel;
pub mod knowledge;
#[cfg(test)]
mod made_up;
pub mod model;
mod order;
pub mod output;
pub mod owner;
mod packed;
pub mod probe;
pub mod recording;
pub mod sandbox;
pub mod settings;
pub mod tcp;
pub mod top;
pub mod units;
