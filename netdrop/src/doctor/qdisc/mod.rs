//! Queueing disciplines and transmission.

use super::Check;

pub const CHECKS: &[Check] = &[];
