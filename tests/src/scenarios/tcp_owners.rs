use crate::scenario::System;

pub fn table() -> Vec<System> {
    Vec::new()
}
