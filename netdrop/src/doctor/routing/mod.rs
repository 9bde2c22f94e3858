//! Routes, fragments, reverse path.

use super::Check;

pub const CHECKS: &[Check] = &[];
