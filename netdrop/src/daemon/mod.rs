//! The tasks: what is awaited, and what is done then. The only folder besides cli that knows time, signals and threads.

mod run;
mod sink;
mod terminal;
mod witness;

pub use run::{Ended, Format, Limits, Plan, RunError, Signals, run};
pub use sink::{Sink, SinkError};
pub use terminal::Terminal;
pub use witness::Witness;
