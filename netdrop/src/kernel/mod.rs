//! What this kernel is: its types, drop reasons, symbols, devices, namespaces and limits.
//!
//! Everything here reads bytes, a `Read` or a tree under a given root, so that tests need no system.
//! Nothing here loads programs; that is the probe's part.

pub mod btf;
pub mod debug_info;
pub mod devices;
pub mod features;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod host;
pub mod identity;
pub mod layout;
pub mod loaded;
pub mod near;
pub mod netns;
pub mod privileged;
pub mod reasons;
pub mod stack;
pub mod symbols;
pub mod tcp;
