//! The `netdiag` command.
fn main() {}
