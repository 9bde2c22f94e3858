//! Settings that fight each other, or do nothing.

use super::Check;

pub const CHECKS: &[Check] = &[];
