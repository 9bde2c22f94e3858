//! The laboratory: network namespaces, links and rules that vanish with the value that owns them.

mod card;
mod folder;
pub mod guest;
mod held;
mod namespace;
mod option;
mod topology;
mod tun;
mod wait;
pub mod wire;

pub use card::Card;
pub use folder::Folder;
pub use held::Held;
pub use namespace::{Namespace, remove_leftovers};
pub use option::{set_option, tcp_info};
pub use topology::{Lab, RECEIVER, SENDER, wait_reachable, wait_running};
pub use tun::open_tun;
pub use wait::{interrupted, until, watch_for_interrupt};

/// This machine can't produce the scenario; the text says why. Carried inside an `anyhow::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Skip(pub String);
