//! What leaves the daemon: the hub from which servers and exporters read, and the formats that they send.

mod examination;
mod hub;
pub mod metrics;
pub mod otlp;
mod resource;
mod tcp;

pub use examination::{Examination, Found};
pub use hub::{Asked, Gone, Hub, HubWriter, Line, hub};
pub use resource::{Machine, Resource};
