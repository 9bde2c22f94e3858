//! Interrupts and queues.

use super::Check;

pub const CHECKS: &[Check] = &[];
