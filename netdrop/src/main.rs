//! The `netdrop` command.
fn main() {}
