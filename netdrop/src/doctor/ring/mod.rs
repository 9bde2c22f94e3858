//! The network card's rings.

use super::Check;

pub const CHECKS: &[Check] = &[];
