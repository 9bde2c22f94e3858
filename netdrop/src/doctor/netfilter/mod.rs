//! Rules of firewalls.

use super::Check;

pub const CHECKS: &[Check] = &[];
