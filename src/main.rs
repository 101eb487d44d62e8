//! rmap
fn main() {}
