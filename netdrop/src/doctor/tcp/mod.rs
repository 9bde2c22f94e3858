//! TCP: its listeners' queues.

mod listen;

use super::{Check, Part, Place, Unread};
use crate::counters::inet_sockets::{self, InetSocket, Which};

pub const CHECKS: &[Check] = &[listen::CHECK];

/// TCP's listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners(pub Vec<InetSocket>);

impl Part for Listeners {
    const FROM: &'static str = "sock_diag (ss -ltmn)";

    fn read(_: &Place) -> Result<Self, Unread> {
        inet_sockets::read(Which::TcpListeners).map(Self).map_err(|error| Unread::io(Self::FROM, &error))
    }
}
