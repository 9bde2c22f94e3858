//! The tasks: what is awaited, and what is done then. The only folder besides cli that knows time, signals and threads.

mod backlog;
mod command;
mod events;
mod follow;
mod lines;
mod lookups;
mod outlets;
mod run;
mod sink;
mod surroundings;
mod symbols;
mod terminal;
mod witness;

pub use command::{Command, CommandError, exit_code};
pub use follow::Follower;
pub use outlets::{Format, Outlet, Outlets};
pub use run::{Ended, Limits, Plan, RunError, Signals, run};
pub use sink::{Sink, SinkError};
pub use terminal::Terminal;
pub use witness::Witness;
