//! What is kept of a connection while it lives, so that its end can tell.

use crate::Task;

/// A value in the programs' table of connections, whose key is the `struct sock`'s address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpConnection {
    /// When it got its first state, on `CLOCK_MONOTONIC`.
    pub started_ns: u64,
    /// When it was established; 0 before.
    pub established_ns: u64,
    /// When it got into the state that it is in.
    pub since_ns: u64,
    /// Inode number of its socket, while a process held it; 0 when it wasn't seen.
    pub inode: u64,
    /// Who connected, or closed it.
    pub task: Task,
    /// `FLAG_*`.
    pub flags: u16,
    /// How `task` is known: `TASK_*`.
    pub task_at: u8,
    /// Zero.
    pub reserved: [u8; 13],
}
