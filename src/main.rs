//! switchback.
fn main() {}
