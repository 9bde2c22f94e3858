//! The tasks: what is awaited, and what is done then. The only folder besides cli that knows time, signals and threads.

mod backlog;
mod browse;
mod cgroup;
mod command;
mod events;
mod follow;
mod fullscreen;
mod input;
mod lines;
mod lookups;
mod outlets;
mod recording;
mod run;
mod screen;
pub mod serve;
mod sink;
mod stop;
mod surroundings;
mod symbols;
mod tcp;
mod terminal;
mod witness;

pub use browse::browse;
pub use cgroup::{Cgroup, CgroupError};
pub use command::{Command, CommandError, exit_code};
pub use follow::Follower;
pub use fullscreen::Fullscreen;
pub use input::Input;
pub use outlets::{Format, Outlet, Outlets};
pub use run::{Ended, Limits, Plan, RunError, run};
pub use screen::Screen;
pub use sink::{Sink, SinkError};
pub use stop::{Signals, Stop};
pub use tcp::TcpSource;
pub use terminal::Terminal;
pub use witness::Witness;
