//! Who reads from the sockets.

use super::Check;

pub const CHECKS: &[Check] = &[];
