//! Scenario tests: real drops on a real kernel.
fn main() {}
