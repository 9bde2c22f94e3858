//! The tasks: what is awaited, and what is done then. The only folder besides cli that knows time, signals and threads.

mod backlog;
mod cgroup;
mod command;
mod events;
mod follow;
mod lines;
mod lookups;
mod outlets;
mod run;
pub mod serve;
mod sink;
mod stop;
mod surroundings;
mod symbols;
mod terminal;
mod witness;

pub use cgroup::{Cgroup, CgroupError};
pub use command::{Command, CommandError, exit_code};
pub use follow::Follower;
pub use outlets::{Format, Outlet, Outlets};
pub use run::{Ended, Limits, Plan, RunError, run};
pub use sink::{Sink, SinkError};
pub use stop::{Signals, Stop};
pub use terminal::Terminal;
pub use witness::Witness;
