//! The init process of the test matrix' virtual machines.
fn main() {}
