//! Cable, module and port.

use super::Check;

pub const CHECKS: &[Check] = &[];
